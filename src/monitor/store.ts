/** Where a monitor keeps what must outlive it. */
export interface MonitorStore {
  /** The state of a log as it was saved last; undefined if it never was. */
  load(origin: string): Promise<string | undefined>
  /** Where the state of a log is kept, for error messages. */
  placeOf(origin: string): string
  /** Resolves once the state is on disk. If it rejects, the one before is still there, whole. */
  save(origin: string, state: string): Promise<void>
  /**
   * Keeps an evidence file for good.
   *
   * @returns where it is, for a person
   */
  keepEvidence(id: string, evidence: string): Promise<string>
}
