import { setTimeout as sleep } from 'node:timers/promises'
import { equalBytes } from '../bytes/bytes.ts'
import { SteleError } from '../errors.ts'
import { finalRecord, changesFinalRecord, type FreezeRequest } from '../log/lifecycle.ts'
import type { SignedHead } from '../log/head.ts'
import type { Log } from '../log/log.ts'
import { UNANNOUNCED, type Announce } from './plan.ts'
import { openStoredLog, type LogSettings } from './open-log.ts'

/** The final state of a frozen log. */
export interface Frozen {
  /** The final head. */
  readonly head: SignedHead
  /** Whether readers see the final head. False until enough witnesses have cosigned it. */
  readonly published: boolean
}

/** Rounds of requests to witnesses to wait for before anything is signed. */
const CONFIRM_ROUNDS = 3

/**
 * Freezes a log that no process has open, after all checks of opening it and after its witnesses have confirmed its
 * head. If the requested final record is committed already, nothing is appended.
 *
 * @throws SteleError as `openStoredLog` and `Log.freeze`; `log_halted` where too few witnesses answer
 */
export async function freezeStoredLog(
  folder: string,
  name: string,
  settings: LogSettings,
  request: FreezeRequest,
  announce: Announce = UNANNOUNCED,
): Promise<Frozen> {
  const log = await openStoredLog(folder, name, settings)
  try {
    await startedWithin(log, settings.witnesses.timeoutMs * CONFIRM_ROUNDS)
    return await freezeLog(log, request, announce)
  } finally {
    // Waits for pending cosignatures, so that the final head is published if its witnesses answer.
    await log.close()
  }
}

/**
 * Freezes an open log of a running server: commits the admitted entries, then the final record.
 *
 * @throws SteleError as `Log.freeze`
 */
export async function freezeLog(
  log: Log,
  request: FreezeRequest,
  announce: Announce = UNANNOUNCED,
): Promise<Frozen> {
  const { successor } = request
  const record = finalRecord(successor)
  if (!(await isDone(log, request))) {
    const { final, size } = log.integrated
    if (!final || changesFinalRecord(final, request)) {
      checkTakesEntries(log)
      const before = final ? { state: 'frozen', ...final } : { state: log.status.state, treeSize: size }
      const placed = request.lastEntry === undefined ? {} : { placed: { index: size, entries: 1 } }
      await announce({ before, after: { state: 'frozen', ...record }, ...placed })
      await log.freeze(request)
    }
  }
  const head = log.integrated
  return { head, published: log.published.timestampMs >= head.timestampMs }
}

/** A freeze that would be refused is not announced. */
function checkTakesEntries({ origin, status, failure }: Log): void {
  if (['serving', 'indexing', 'frozen'].includes(status.state)) return
  const reason = failure?.message ?? `it is ${status.state}`
  throw new SteleError('log_halted', `log ${origin}: ${reason}; nothing was changed`, {
    retryAfterSeconds: 5,
  })
}

/** A step that was cut short behind its commit is not made twice. */
async function isDone(log: Log, { lastEntry, successor }: FreezeRequest): Promise<boolean> {
  const { final, size } = log.integrated
  if (!final || lastEntry === undefined || size === 0) return false
  if (log.published.size < size) {
    throw new SteleError(
      'quorum_not_met',
      `log ${log.origin}: it is frozen, and too few witnesses have cosigned its final head yet; serve it until they have`,
    )
  }
  const [entry] = await log.readEntries(size - 1, size)
  return equalBytes(entry!, lastEntry) && final.successor === successor
}

async function startedWithin(log: Log, ms: number): Promise<void> {
  const tooLate = new AbortController()
  // A log that has not started by then refuses what it is asked next, with the reason.
  await Promise.race([log.started, sleep(ms, undefined, { signal: tooLate.signal })]).finally(() =>
    tooLate.abort(),
  )
}
