import type { ErrorCode } from '../errors.ts'

/**
 * What a log tells whoever counts. It is called on the write path: an implementation neither waits nor throws, and
 * keeps nothing. Every call is per commit or per submission, none is per entry.
 */
export interface LogObserver {
  /**
   * A signed head is in both of its places.
   *
   * @param entries it covers for the first time; none for a head that was signed anew
   * @param tookMs from the begin of its commit until then
   */
  committed(entries: number, tookMs: number): void
  /** The disk was asked to keep something: the database, the head file, or the cursor of the leaf index. */
  synced(what: 'database' | 'head' | 'index'): void
  /** Entries came that were there, or on their way, already. */
  recognised(entries: number): void
  /** A submission was refused, or its outcome is not known. */
  refused(code: ErrorCode): void
}

/** For a log that nobody counts. */
export const UNOBSERVED: LogObserver = { committed() {}, synced() {}, recognised() {}, refused() {} }
