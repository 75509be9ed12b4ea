import { decodeUtf8 } from '../bytes/text.ts'
import { hasCode } from '../errors.ts'
import { MAX_NOTE_BYTES } from '../note/note.ts'
import { reasonOf, type Clock } from './clock.ts'
import type { Heads, VerifiedCheckpoint } from './heads.ts'
import type { LogFiles } from './http-files.ts'
import { isPassing, retrying, type RetryLimits } from './retry.ts'
import type { Transport } from './transport.ts'
import { readEntries, type VerifiedEntry } from './verified-entries.ts'

/** The position of a follower of a log: text and a number, to be stored and passed in again. */
export interface FollowState {
  /** The newest checkpoint that was verified. Handed in again, the log must extend it. */
  readonly checkpoint: string
  /** The first entry that was not given yet. */
  readonly nextIndex: number
}

/** An event for a follower. `state` is the one to store once the event has been handled. */
export type FollowEvent =
  /** The log has grown: this head extends the one before it. Its entries come next. */
  | { readonly kind: 'checkpoint'; readonly checkpoint: VerifiedCheckpoint; readonly state: FollowState }
  | ({ readonly kind: 'entry'; readonly state: FollowState } & VerifiedEntry)

/** How to follow. */
export interface FollowOptions {
  /** An index to begin at, or a state from earlier. Default 0. */
  readonly from?: number | FollowState | undefined
  /** Ends the iteration, without an error. */
  readonly signal?: AbortSignal | undefined
  /** Shortest time between two questions after which nothing new came, in milliseconds. Default 5,000. */
  readonly intervalMs?: number | undefined
}

/** What following needs. */
export interface Following {
  readonly heads: Heads
  readonly files: LogFiles
  readonly transport: Transport
  /** The log's URLs begin with it; ends with a slash. */
  readonly prefix: string
  /** How long one question is tried again while the log cannot be reached. */
  readonly deadlineMs: number
}

/** Follows a log; see `LogClient.follow`. */
export async function* followLog(
  deps: Following,
  { from = 0, signal, intervalMs = 5_000 }: FollowOptions,
): AsyncGenerator<FollowEvent, void, undefined> {
  try {
    yield* follow(deps, from, { signal, intervalMs })
  } catch (error) {
    if (!signal?.aborted) throw error
  }
}

interface Pace {
  readonly signal: AbortSignal | undefined
  readonly intervalMs: number
}

async function* follow(
  deps: Following,
  from: number | FollowState,
  pace: Pace,
): AsyncGenerator<FollowEvent, void, undefined> {
  const kept =
    typeof from === 'number' ? undefined : await deps.heads.accept(deps.heads.open(from.checkpoint))
  let nextIndex = typeof from === 'number' ? from : from.nextIndex
  let longPoll = true
  for (let head = kept; ;) {
    if (head) {
      const { note, size } = head
      for await (const entry of entriesOf(deps, head, nextIndex, pace.signal)) {
        nextIndex = entry.index + 1
        yield { kind: 'entry', ...entry, state: { checkpoint: note, nextIndex } }
      }
      const asked = await nextHead(deps, size, longPoll, pace)
      head = asked.head
      longPoll = asked.longPoll
    } else {
      const known = deps.heads.newest
      head = await deps.heads.accept(deps.heads.open(await deps.files.checkpoint()), known)
    }
    pace.signal?.throwIfAborted()
    yield { kind: 'checkpoint', checkpoint: head, state: { checkpoint: head.note, nextIndex } }
  }
}

async function* entriesOf(
  { files, heads }: Following,
  head: VerifiedCheckpoint,
  begin: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<VerifiedEntry, void, undefined> {
  if (begin >= head.size) return
  for await (const entry of readEntries(files, heads.tilesOf(head), begin, head.size)) {
    signal?.throwIfAborted()
    yield entry
  }
}

/** Asks until there is a head above `size`. */
async function nextHead(
  deps: Following,
  size: number,
  longPoll: boolean,
  { signal, intervalMs }: Pace,
): Promise<{ head: VerifiedCheckpoint; longPoll: boolean }> {
  const { clock } = deps.transport
  for (;;) {
    const known = deps.heads.newest
    const askedMs = clock.nowMs()
    const answer = longPoll
      ? await pollLong(deps, size, signal)
      : { offered: true, note: await deps.files.checkpoint() }
    if (!answer.offered) {
      longPoll = false
      continue
    }
    const head =
      answer.note === undefined ? undefined : await deps.heads.accept(deps.heads.open(answer.note), known)
    if (head && head.size > size) return { head, longPoll }
    // Also after a long poll: a server that answers at once must not be asked in a tight loop.
    await pause(clock, askedMs + intervalMs, signal)
  }
}

async function pause(clock: Clock, untilMs: number, signal: AbortSignal | undefined): Promise<void> {
  if (signal?.aborted) throw reasonOf(signal)
  const leftMs = untilMs - clock.nowMs()
  if (leftMs > 0) await clock.sleep(leftMs, signal)
}

/** Leaves the log this much of a request's time limit to answer a long poll in. */
const POLL_MARGIN_MS = 5_000

interface PollAnswer {
  /** False if this log has no long poll. */
  readonly offered: boolean
  /** Undefined when nothing new came in time. */
  readonly note?: string
}

async function pollLong(
  { transport, prefix, deadlineMs }: Following,
  after: number,
  signal: AbortSignal | undefined,
): Promise<PollAnswer> {
  const seconds = Math.max(1, Math.min(60, Math.floor((transport.timeoutMs - POLL_MARGIN_MS) / 1000)))
  const url = `${prefix}v1/checkpoint?after=${after}&timeout=${seconds}`
  const limits: RetryLimits = { deadlineMs, signal }
  try {
    const answer = await retrying(transport.clock, limits, isPassing, () =>
      transport.ask(url, { maxBytes: MAX_NOTE_BYTES, expect: [200, 204], signal, fresh: true }),
    )
    if (answer.status === 204) return { offered: true }
    // A static host may answer any path with a page of its own.
    const isText = /^text\/plain\b/i.test(answer.headers.get('content-type') ?? '')
    return isText ? { offered: true, note: decodeUtf8(answer.body, 'checkpoint') } : { offered: false }
  } catch (error) {
    // A log that is only files has no such route, and answers in many ways.
    if (hasCode(error, 'not_found', 'method_not_allowed', 'unexpected_answer')) return { offered: false }
    throw error
  }
}
