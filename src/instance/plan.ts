import type { Parts } from './configuration.ts'

/** A change to an instance, or to the access to it. */
export interface Act {
  readonly act: string
  /** Key id, subject, or name of the command. */
  readonly by: string
  readonly log?: string
}

/** A planned change. It holds nothing secret. */
export interface Planned {
  readonly before: unknown
  readonly after: unknown
  /** The parts of the configuration that change, with their new values; undefined: the part is removed. */
  readonly parts?: Parts
  /** Entries that the act adds to the log. */
  readonly placed?: { readonly index: number; readonly entries: number }
}

/** Records a planned change. Resolves when the change may be made; if it rejects, the change must not be made. */
export type Announce = (planned: Planned) => Promise<void>

/** Records nothing: for folders without access control, and for tests. */
export const UNANNOUNCED: Announce = () => Promise.resolve()

/** Runs a task that announces its change before making it. */
export type Administer = <T>(act: Act, task: (announce: Announce) => Promise<T>) => Promise<T>
