import { equalBytes } from '../bytes/bytes.ts'
import { hasCode, SteleError } from '../errors.ts'
import type { Clock } from '../client/clock.ts'
import type { LogFiles } from '../client/http-files.ts'
import { readEntries } from '../client/verified-entries.ts'
import { VerifiedTiles } from '../client/verified-tiles.ts'
import type { Hash } from '../merkle/hash.ts'
import type { RepairReport } from '../scrub/repair.ts'
import { openCheckpoint, type OpenedCheckpoint } from '../note/checkpoint.ts'
import type { VerifierKey } from '../note/note.ts'
import { proveConsistency, rootAt } from '../tile/prove.ts'
import type { PrefixShown } from '../witness/evidence.ts'
import type { MirroredLog } from './log.ts'
import type { Judged, Mirror } from './mirror.ts'
import { logSigned, type LogSigned } from './signed.ts'

/** Entries that are written together; what is read ahead of that is a few bundles. */
const GATHER_ENTRIES = 2048
const GATHER_BYTES = 4 * 1024 * 1024
/** An upload may move the pending checkpoint while a proof from it is being made. */
const MOST_TRIES = 3
/**
 * How often in a row a smaller tree must be served before it counts as a rollback, since caches may serve old content.
 */
const WENT_BACK_ROUNDS = 3
/** Pauses double with every round that fails, up to this. */
const LONGEST_PAUSE_MS = 300_000

/** The log to follow, and the callbacks of its follower. */
export interface Following {
  readonly log: MirroredLog
  readonly mirror: Pick<Mirror, 'keepEvidence'>
  /** The log's own URL. */
  readonly files: LogFiles
  readonly clock: Clock
  /**
   * Finds further keys of the log that known ones have announced, for a checkpoint that no known one has signed; resolves
   * once they are on disk. Without it such a checkpoint is refused.
   */
  readonly learnKeys?: (note: string) => Promise<readonly VerifierKey[]>
  /** Pause between two requests. */
  readonly intervalMs: number
  /** Damaged content was restored from the log. */
  readonly onRepaired: (report: RepairReport) => void
  /** A round failed, and another one follows later. */
  readonly onTrouble: (error: SteleError) => void
  /** The log contradicted itself, or the disk failed: following has ended. */
  readonly onStopped: (error: SteleError) => void
}

/** Copies a log from its URL, as long as the log extends itself. */
export class Follower {
  readonly #deps: Following
  #wentBack = 0
  #failures = 0
  #failure: SteleError | undefined

  constructor(deps: Following) {
    this.#deps = deps
  }

  get log(): MirroredLog {
    return this.#deps.log
  }

  /** Why the last round failed, or undefined if it did not. */
  get failure(): SteleError | undefined {
    return this.#failure
  }

  /** Rounds that failed in a row. */
  get failures(): number {
    return this.#failures
  }

  /** Follows until the signal is aborted, or until there is nothing to follow any more. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#deps
    while (!signal.aborted) {
      await this.#tried(signal)
      if (log.failure) {
        if (!signal.aborted) this.#deps.onStopped(log.failure)
        return
      }
      await clock.sleep(this.#pauseMs(), signal).catch(() => undefined)
    }
  }

  /**
   * One request for the log's checkpoint, and all steps that follow from the answer.
   *
   * @throws SteleError the reason of a failure; after `fork` and `rolled_back` the log may be halted
   */
  async round(signal?: AbortSignal): Promise<void> {
    const { files, clock } = this.#deps
    const opened = await this.#open(await files.checkpoint())
    const signed = logSigned(opened.note, { seenAtMs: clock.nowMs(), isServed: true })
    const tiles = new VerifiedTiles(files, signed.checkpoint)
    await this.#checkNotSmaller(signed)
    const isKnown = await this.#extendsAll(signed, tiles)
    if (!isKnown) return
    await this.#repair(signed.checkpoint.size)
    await this.#copy(signed, tiles, signal)
  }

  async #open(note: string): Promise<OpenedCheckpoint> {
    const { log, learnKeys } = this.#deps
    const open = (): OpenedCheckpoint => openCheckpoint(note, { origin: log.origin, verifiers: log.log.keys })
    try {
      return open()
    } catch (error) {
      if (!learnKeys || !hasCode(error, 'untrusted_signer')) throw error
      log.trust(await learnKeys(note))
      return open()
    }
  }

  async #tried(signal: AbortSignal): Promise<void> {
    try {
      await this.round(signal)
      this.#failures = 0
      this.#failure = undefined
    } catch (error) {
      if (signal.aborted || hasCode(error, 'shutting_down')) return
      this.#failures++
      this.#failure = asSteleError(error)
      if (!this.#deps.log.failure) this.#deps.onTrouble(this.#failure)
    }
  }

  #pauseMs(): number {
    const { intervalMs, clock } = this.#deps
    const longest = Math.max(intervalMs, LONGEST_PAUSE_MS)
    return Math.min(longest, intervalMs * 2 ** Math.min(this.#failures, 20)) * (0.9 + clock.random() / 5)
  }

  async #checkNotSmaller(signed: LogSigned): Promise<void> {
    const { followed } = this.#deps.log.state
    const [size, before] = [signed.checkpoint.size, followed?.checkpoint.size ?? 0]
    if (size >= before) {
      this.#wentBack = 0
      return
    }
    const error = new SteleError(
      'rolled_back',
      `log ${this.log.origin}: its URL serves size ${size}, and served size ${before} before`,
    )
    if (++this.#wentBack < WENT_BACK_ROUNDS) throw error
    const request = { oldSize: before, path: [] }
    const verdict = { kind: 'refused', error } as const
    await this.#halt({ signed, held: followed, request, verdict, kind: 'went_back' }, error)
  }

  /** Checks a checkpoint against all known ones. @returns false if that is not possible yet */
  async #extendsAll(signed: LogSigned, tiles: VerifiedTiles): Promise<boolean> {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const held = this.log.pending
      const [size, oldSize] = [signed.checkpoint.size, held?.checkpoint.size ?? 0]
      if (held && size < oldSize) return this.#isPrefix(signed, held)
      // Computed from tiles that were checked against the new root hash. If the proof does not hold, the two signatures
      // contradict each other, independently of what was served.
      const path = oldSize === 0 || oldSize === size ? [] : await proveConsistency(tiles, oldSize, size)
      const judged = await this.log.movePending(signed, { oldSize, path })
      if (judged.verdict.kind === 'cosign') return true
      if (judged.verdict.kind === 'conflict') continue
      const { verdict } = judged
      const proof = await shownByTiles(tiles, oldSize, path)
      await this.#halt({ ...judged, verdict, signed, request: { oldSize, path }, proof }, verdict.error)
    }
    return false
  }

  /**
   * Restores damaged content from the log. A failure must not keep new entries out.
   *
   * @param size of the tree that the log serves
   */
  async #repair(size: number): Promise<void> {
    const { log, files, onRepaired, onTrouble } = this.#deps
    try {
      const report = await log.repairFrom(files, size)
      if (report && report.repaired.entries + report.repaired.tiles > 0) onRepaired(report)
    } catch (error) {
      onTrouble(asSteleError(error))
    }
  }

  /** For a checkpoint below the pending one: a caller submitted the pending one before the log published it. */
  async #isPrefix(signed: LogSigned, pending: LogSigned): Promise<boolean> {
    const { size, root } = signed.checkpoint
    const known = await this.#knownRoot(size)
    if (!known) return false
    if (equalBytes(known, root)) {
      await this.log.noteFollowed(signed)
      return true
    }
    const error = new SteleError(
      'fork',
      `log ${this.log.origin}: the tree of size ${size} that its URL serves is no part of the one of size ` +
        `${pending.checkpoint.size} that it has signed`,
    )
    const verdict = { kind: 'refused', error } as const
    const request = { oldSize: size, path: [] }
    return this.#halt({ signed, request, verdict, ...(await this.#shownAt(size, known, pending)) }, error)
  }

  async #knownRoot(size: number): Promise<Hash | undefined> {
    const { log } = this.#deps
    return (
      log.signedAt(size)?.checkpoint.root ?? (size <= log.nextEntry ? rootAt(log.reader, size) : undefined)
    )
  }

  /** What shows best that another root hash than the known one cannot be of the same log. */
  async #shownAt(
    size: number,
    olderRoot: Hash,
    pending: LogSigned,
  ): Promise<Pick<Judged, 'held' | 'kind' | 'proof'>> {
    const { log } = this.#deps
    const same = log.signedAt(size)
    if (same) return { held: same, kind: 'fork' }
    const held = log.signedAbove(size)
    // The entries of this checkpoint are not all stored, so only the log can settle it.
    if (!held) return { held: pending, kind: 'inconsistent' }
    const path = await proveConsistency(log.reader, size, held.checkpoint.size)
    return { held, kind: 'fork', proof: { olderRoot, path } }
  }

  async #copy(signed: LogSigned, tiles: VerifiedTiles, signal?: AbortSignal): Promise<void> {
    const { log, files } = this.#deps
    const { size } = signed.checkpoint
    const mirrored = log.state.mirrored?.checkpoint.size ?? -1
    if (mirrored >= size) return
    let begin = log.nextEntry
    let gathered: Uint8Array[] = []
    let bytes = 0
    const flush = async (): Promise<void> => {
      await log.append(begin, gathered)
      begin += gathered.length
      gathered = []
      bytes = 0
    }
    try {
      for await (const { entry } of readEntries(files, tiles, Math.min(begin, size), size)) {
        signal?.throwIfAborted()
        gathered.push(entry)
        bytes += entry.length
        if (gathered.length >= GATHER_ENTRIES || bytes >= GATHER_BYTES) await flush()
      }
    } finally {
      // Verified content is kept, even if a later part failed.
      if (gathered.length > 0) await flush()
    }
    await log.advance(signed)
  }

  /** Stores the evidence against the log, stops accepting its content, and reports that. */
  async #halt(judged: Judged, error: SteleError): Promise<never> {
    this.log.halt(error)
    await this.#deps.mirror.keepEvidence(this.log, judged)
    throw error
  }
}

/**
 * What the tiles of a larger tree show about a smaller size: evidence for readers without these tiles, in case the log
 * has removed them.
 */
async function shownByTiles(
  tiles: VerifiedTiles,
  oldSize: number,
  path: readonly Hash[],
): Promise<PrefixShown | undefined> {
  if (path.length === 0) return undefined
  // Unreadable tiles must not keep a log that contradicts itself from being halted.
  const olderRoot = await rootAt(tiles, oldSize).catch(() => undefined)
  return olderRoot && { olderRoot, path }
}

function asSteleError(error: unknown): SteleError {
  if (error instanceof SteleError) return error
  return new SteleError('internal', `following failed: ${(error as Error).message}`, { cause: error })
}
