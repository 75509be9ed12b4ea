import type { ErrorCode } from '../errors.ts'

/**
 * Counts what a log does. It is called on the write path: an implementation neither waits nor throws, and keeps no reference to
 * the log. Every call is per commit or per submission; none is per entry.
 */
export interface LogObserver {
  /**
   * A signed head is in the database and in the head file.
   *
   * @param entries it covers for the first time; 0 for a head that was re-signed
   * @param tookMs since its commit began
   */
  committed(entries: number, tookMs: number): void
  /** A file was synced: the database, the head file, or the leaf index with its cursor. */
  synced(what: 'database' | 'head' | 'index'): void
  /** Submitted entries were duplicates of entries that are in the log or on their way. */
  recognised(entries: number): void
  /** A submission was refused, or its outcome is not known. */
  refused(code: ErrorCode): void
}

/** Counts nothing. */
export const UNOBSERVED: LogObserver = { committed() {}, synced() {}, recognised() {}, refused() {} }
