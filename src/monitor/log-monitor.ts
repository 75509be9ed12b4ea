import type { Clock } from '../client/clock.ts'
import { logPrefix } from '../client/http-files.ts'
import { HttpFiles, Transport, type TransportOptions } from '../client/index.ts'
import { askConsistency, type AskProof, isDenied } from '../client/served-proofs.ts'
import { SteleError } from '../errors.ts'
import { evaluatePolicy } from '../policy/evaluate.ts'
import type { Policy } from '../policy/policy.ts'
import { describeMissing } from '../policy/quorum.ts'
import { Blamed } from './blame.ts'
import { EndWatch } from './end-watch.ts'
import { EntryWorker, haveBeenShown } from './entry-worker.ts'
import type { Finding } from './finding.ts'
import { judgeFreshness } from './freshness.ts'
import { HeadFollower } from './head-follower.ts'
import type { ShownHead } from './keep-evidence.ts'
import { Ledger } from './ledger.ts'
import { LogKeys } from './log-keys.ts'
import { LogWords } from './log-word.ts'
import type { MonitoredLog } from './monitored-log.ts'
import type { Outbox } from './delivery.ts'
import { Problems } from './problems.ts'
import { Attempts, type Parts } from './round.ts'
import { SecondReader } from './second-reader.ts'
import type { MonitorStore } from './state.ts'
import { TreeHeads } from './tree-heads.ts'

/** What a monitor of one log depends on. */
interface MonitorDeps {
  readonly store: MonitorStore
  readonly outbox: Outbox
  readonly transport?: TransportOptions | undefined
  /** How long a request is repeated while the log cannot be reached, in milliseconds. Default 15,000. */
  readonly deadlineMs?: number | undefined
  /** Aborts a round; the round then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined
  /** Called with new keys that are trusted from now on, since known keys have announced them. */
  readonly onKeys?: ((origin: string, verifierKeys: readonly string[]) => void) | undefined
}

/** The progress of following one log. */
interface MonitorStatus {
  readonly origin: string
  /** Size of the newest accepted head; undefined before the first. */
  readonly treeSize: number | undefined
  readonly nextIndex: number
  /** Milliseconds since 1970; 0 for never. */
  readonly contactMs: number
  /** True if the entries are private and this monitor may not read them: only heads are followed. */
  readonly headsOnly: boolean
  /** The names of the open problems: kind of finding and place. */
  readonly open: readonly string[]
}

const DEFAULT_DEADLINE_MS = 15_000

/** Throws the error again, naming the state file. */
function unreadable(store: MonitorStore, origin: string, error: unknown): never {
  if (!(error instanceof SteleError) || error.code === 'io_error') throw error
  throw new SteleError(
    error.code,
    `${store.placeOf(origin)}: ${error.message}. Restore an older copy of this file, or move it away; without it the ` +
      'log is followed as if never seen before',
    { cause: error },
  )
}

/** Watches one log, round by round. A round ends when its findings are raised and its progress is on disk. */
export class LogMonitor {
  readonly #parts: Parts
  readonly #heads: HeadFollower
  readonly #second: SecondReader | undefined
  readonly #entries: EntryWorker
  readonly #end: EndWatch

  private constructor(parts: Parts, treeHeads: TreeHeads | undefined, words: LogWords) {
    this.#parts = parts
    this.#heads = new HeadFollower(parts, treeHeads?.vkey)
    this.#second = treeHeads && new SecondReader(parts, treeHeads, this.#heads)
    this.#entries = new EntryWorker(parts)
    this.#end = new EndWatch(parts, this.#heads, words)
  }

  /**
   * Continues from the saved state, or starts without one.
   *
   * @throws SteleError `usage` for an invalid URL; `malformed`, `wrong_origin`, `untrusted_signer`, `bad_signature` for
   *   a saved state that does not belong to this log and these keys; errors of the store
   */
  static async open(log: MonitoredLog, deps: MonitorDeps): Promise<LogMonitor> {
    const prefix = logPrefix(log.url)
    const { store, outbox, deadlineMs = DEFAULT_DEADLINE_MS, signal } = deps
    const transport = new Transport({ ...deps.transport, ...credentials(log) })
    const { clock } = transport
    const limits = { deadlineMs, signal }
    const from = log.from === 'end' ? 0 : log.from
    const opening = Ledger.open(store, log.origin, from, () => outbox.undelivered(log.origin))
    const ledger = await opening.catch((error: unknown) => unreadable(store, log.origin, error))
    const problems = new Problems(ledger, outbox, clock, { log: log.origin, url: log.url })
    const attempts = new Attempts(problems, clock, log)
    const files = new HttpFiles(prefix, transport, limits)
    const keys = new LogKeys(log, ledger, { prefix, transport, limits }, (vkeys) =>
      deps.onKeys?.(log.origin, vkeys),
    )
    const askProof = askWithoutKey(
      askConsistency(prefix, transport, limits),
      () => log.apiKey === undefined && !haveBeenShown(log, ledger),
    )
    const parts = { log, keys, askProof, files, transport, clock, store, ledger, problems, attempts }
    const spki = log.treeHeadKey
    const treeHeads = spki && new TreeHeads(prefix, transport, limits, log.origin, spki)
    const monitor = new LogMonitor(parts, treeHeads, new LogWords(prefix, transport, log.origin, signal))
    // Opens the saved head now: a key that was configured by mistake must not look like a fork, or like no change,
    // later.
    try {
      void monitor.#heads.accepted
    } catch (error) {
      unreadable(store, log.origin, error)
    }
    outbox.restore(ledger.state.undelivered)
    return monitor
  }

  get status(): MonitorStatus {
    const { origin, nextIndex, contactMs, open } = this.#parts.ledger.state
    return {
      origin,
      treeSize: this.#heads.accepted?.head.size,
      nextIndex,
      contactMs,
      headsOnly: this.#entries.isShutOut,
      open: Object.keys(open),
    }
  }

  get clock(): Clock {
    return this.#parts.clock
  }

  get transport(): Transport {
    return this.#parts.transport
  }

  get log(): MonitoredLog {
    return this.#parts.log
  }

  /**
   * Runs one round: checks the newest head, and the entries up to it.
   *
   * @returns all current problems and matches, including problems that were reported earlier and still last
   * @throws SteleError `io_error` if the state cannot be saved; no progress is made, and the next round repeats the
   *   work; the signal's reason if aborted
   */
  async round(): Promise<Finding[]> {
    const { ledger, problems } = this.#parts
    // Findings of an interrupted round; this round finds them again.
    problems.take()
    const shown = await this.#heads.show()
    const before = this.#heads.accepted?.head.size
    const accepted = shown !== undefined && (await this.#heads.accept(shown))
    if (shown) await this.#checkStatements(shown)
    const newest = this.#heads.accepted
    // Entries are only checked under a good newest head: otherwise they may belong to no signed tree, or to another
    // history.
    if (accepted && newest) {
      await this.#entries.work(newest)
      await this.#end.look(newest, newest.head.size !== before)
      await this.#entries.recheck(newest.head)
    }
    await ledger.commit()
    return problems.take()
  }

  /** The findings of the last round up to its failure. */
  unfinished(): Finding[] {
    return this.#parts.problems.take()
  }

  /** Saves which findings have been delivered since. @throws as {@link round} */
  save(): Promise<void> {
    return this.#parts.ledger.commit()
  }

  async #checkStatements(shown: ShownHead): Promise<void> {
    const { ledger, problems, log, clock } = this.#parts
    const witnessDatesMs = await checkQuorum(this.#parts, shown)
    const logDateMs = await this.#second?.read()
    const { newsMs } = ledger.state
    const sightings = { logDateMs, witnessDatesMs, newsMs: newsMs || clock.nowMs() }
    const found = log.frozen ? undefined : judgeFreshness(sightings, log, clock.nowMs())
    for (const kind of ['stale', 'silent'] as const) {
      const problem = found?.kind === kind ? { subject: kind, message: found.message } : undefined
      await problems.settle(kind, 'checkpoint', problem)
    }
  }
}

function credentials({ apiKey }: MonitoredLog): Pick<TransportOptions, 'headers'> {
  return apiKey === undefined ? {} : { headers: { authorization: `Bearer ${apiKey}` } }
}

/**
 * Checks a head against the log's policy.
 *
 * @returns the dates of its valid cosignatures, in milliseconds since 1970
 */
async function checkQuorum({ log, keys, problems }: Parts, { head }: ShownHead): Promise<number[]> {
  if (!log.policy) return []
  const { message, datesMs } = evaluate(log.policy, head.note, {
    origin: log.origin,
    verifiers: keys.verifiers,
  })
  const detail = { size: head.size }
  const problem = message === undefined ? undefined : { subject: 'quorum', message, detail }
  await problems.settle('quorum_lost', 'checkpoint', problem)
  return datesMs
}

function evaluate(
  policy: Policy,
  note: string,
  log: Parameters<typeof evaluatePolicy>[2],
): { message: string | undefined; datesMs: number[] } {
  try {
    const { quorum, cosignatures } = evaluatePolicy(policy, note, log)
    const seconds = cosignatures.map(({ timestampSeconds }) => timestampSeconds)
    return {
      message: quorum.met
        ? undefined
        : `the newest head lacks its quorum: ${describeMissing(quorum.missing)}`,
      datesMs: seconds.filter((time) => time !== undefined).map((time) => time * 1000),
    }
  } catch (error) {
    // The log's own signature is valid; an invalid line of a witness only counts against the quorum.
    if (!(error instanceof SteleError) || error.code === 'internal') throw error
    return { message: `the newest head lacks its quorum: ${error.message}`, datesMs: [] }
  }
}

/**
 * Returns the function that requests consistency proofs from a log with private entries. Such a log is followed by
 * these proofs, which require a key of the role monitor.
 *
 * @param asAnybody true for a monitor without a key, on a log that never showed it an entry: then a refusal is expected
 * @returns a function that throws Blamed `unproven` if the log requires a key for the proof and none was given
 */
function askWithoutKey(ask: AskProof, asAnybody: () => boolean): AskProof {
  return async (oldSize, newSize) => {
    try {
      return await ask(oldSize, newSize)
    } catch (error) {
      if (!isDenied(error) || !asAnybody()) throw error
      throw new Blamed('unproven', `from ${oldSize}`, keyWanted(oldSize, newSize, error as SteleError))
    }
  }
}

/** Neutral wording: the log is reachable, and states who may see the proof. */
function keyWanted(oldSize: number, newSize: number, cause: SteleError): SteleError {
  return new SteleError(
    cause.code,
    `that the tree of size ${newSize} extends the accepted one of size ${oldSize} could NOT BE PROVEN: the log serves ` +
      'this proof to callers with a key (the role monitor suffices), and none was given. The new head shows no sign of ' +
      'damage, but is not accepted without the proof',
    { cause },
  )
}
