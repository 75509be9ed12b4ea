import { readFileSync } from 'node:fs'
import { SteleError } from '../errors.ts'

/** Files of the process itself: standard streams, libraries, timers, listening sockets. */
const OWN_FILES = 64
/**
 * Files of one log: two databases of 64 tables and a few more each, the head file, and temporary files of an opening.
 */
const LOG_FILES = 2 * (64 + 16) + 4

/** How many files this process may open; undefined where the system does not report it. */
export function openFileLimit(limits = '/proc/self/limits'): number | undefined {
  try {
    const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync(limits, 'utf8')) ?? []
    return soft === undefined ? undefined : Number(soft)
  } catch {
    return undefined
  }
}

/** A log is not made if it would leave fewer connections than this. */
const FEWEST_CONNECTIONS = 32

/** Checks that a process with this many logs has files left for connections. @throws SteleError `overloaded` */
export function checkOpenFiles(logs: number, limit: number | undefined): void {
  if (limit === undefined || limit - OWN_FILES - LOG_FILES * logs >= FEWEST_CONNECTIONS) return
  throw new SteleError(
    'overloaded',
    `${logs} logs need more files than this process may open (${limit}, ulimit -n); nothing was changed`,
  )
}

/**
 * How many connections leave the logs enough files: a log that cannot open a file halts.
 *
 * @param wanted connections, as configured
 * @param logs how many are served
 * @param limit files that the process may open
 * @returns at most `wanted`, at least one
 */
export function affordableConnections(wanted: number, logs: number, limit: number | undefined): number {
  if (limit === undefined) return wanted
  return Math.max(1, Math.min(wanted, limit - OWN_FILES - LOG_FILES * logs))
}
