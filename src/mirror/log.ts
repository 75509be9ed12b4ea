import { equalBytes } from '../bytes/bytes.ts'
import { invariant, SteleError } from '../errors.ts'
import type { LogFiles } from '../client/http-files.ts'
import { TileReader } from '../log/reader.ts'
import { repairRange, type RepairReport } from '../scrub/repair.ts'
import { KnownFindings, type ScrubFinding } from '../scrub/scrub-finding.ts'
import type { ScrubberOptions, ScrubEvents, ScrubStatus } from '../scrub/scrub-options.ts'
import type { StoredParts } from '../log/options.ts'
import { Scrubber } from '../scrub/scrubber.ts'
import { HASH_BYTES, hashLeafInto, type Hash } from '../merkle/hash.ts'
import { formatVerifierKey } from '../note/key.ts'
import type { NoteSignature, VerifierKey } from '../note/note.ts'
import type { HeadFile } from '../storage/head-file.ts'
import type { LogStore } from '../storage/store.ts'
import { growTree, type FullTile, type Tree } from '../tile/grow.ts'
import type { TileId } from '../tile/path.ts'
import { rootAt } from '../tile/prove.ts'
import { cosignedHead, type CosignedHead } from '../witness/head.ts'
import { judge, type JudgedRequest, type Verdict } from '../witness/judge.ts'
import type { WitnessKey } from '../witness/keys.ts'
import { originHash, type WitnessedLog } from '../witness/logs.ts'
import { Turns } from '../bytes/turns.ts'
import { encodeCount, encodeRecord } from './record.ts'
import { logSigned, openStored, type LogSigned } from './signed.ts'
import { entriesOf, readBack, storedParts } from './stored.ts'

/**
 * Pending checkpoints that uploads may still end at. For a log that signs every second this lasts seconds; tickets last
 * longer.
 */
const MOST_PENDING = 8
/** Steps of one log that may wait: each is a write, and holds at most a few packages. */
const MOST_WAITING = 64

/** What a mirror knows of a log beside entries and tiles. */
export interface MirrorState {
  /** Each extends the one before; the last one is the pending checkpoint. */
  readonly pending: readonly LogSigned[]
  readonly mirrored: CosignedHead | undefined
  /** What the log's URL served last. */
  readonly followed: LogSigned | undefined
  readonly cosigned: number
}

/** What one log's mirror is made of; opened by `openMirroredLog`, which checks that the parts go together. */
export interface MirroredLogParts {
  readonly log: WitnessedLog
  /** Where it is followed, if it is. */
  readonly url?: string | undefined
  readonly keys: readonly WitnessKey[]
  readonly store: LogStore
  readonly headFile: HeadFile
  readonly nowMs: () => number
  readonly cacheBytes: number
  /** Told of what is stored and is not what was taken in. */
  readonly damage?: ScrubEvents | undefined
}

/** How a copy is read again in the background. */
export type CopyScrubbing = Omit<ScrubberOptions, 'events'>

/**
 * The copy of one log. Owner of its tree, its pending checkpoints and its mirror checkpoint: they only grow, one step
 * at a time, and each step is on disk before it becomes visible.
 */
export class MirroredLog {
  /** SHA-256 of the origin in hex: its place in URLs. */
  readonly hash: string
  readonly #parts: MirroredLogParts
  readonly #stored: StoredParts
  /** What was found damaged as it was read back before cosigning. */
  readonly #readBack: KnownFindings
  #reader: TileReader
  #scrubber: Scrubber | undefined
  readonly #turns = new Turns(MOST_WAITING)
  #log: WitnessedLog
  #tree: Tree
  #state: MirrorState
  #failure: SteleError | undefined
  #closed: Promise<void> | undefined
  /** Those who use it and must not be cut off when the log is dropped. */
  #holders = 0
  #unheld: (() => void)[] = []
  #url: string | undefined

  constructor(parts: MirroredLogParts, tree: Tree, state: MirrorState) {
    this.#log = parts.log
    this.#url = parts.url
    this.hash = originHash(parts.log.origin)
    this.#parts = parts
    this.#tree = tree
    this.#state = state
    this.#reader = this.#newReader()
    const { store, keys, log, damage = {} } = parts
    this.#stored = storedParts({ origin: log.origin, store, keys, tree: () => this.#tree })
    this.#readBack = new KnownFindings(damage)
  }

  get reader(): TileReader {
    return this.#reader
  }

  /** The log, with the keys by which its checkpoints are accepted. */
  get log(): WitnessedLog {
    return this.#log
  }

  /** Trusts further keys of the log. Earlier keys stay trusted, since they signed what is stored. */
  trust(keys: readonly VerifierKey[]): void {
    const { origin, keys: known } = this.#log
    const isKnown = (key: VerifierKey): boolean =>
      known.some((other) => formatVerifierKey(other) === formatVerifierKey(key))
    this.#log = { origin, keys: [...known, ...keys.filter((key) => !isKnown(key))] }
  }

  /** The prefix of the log's own files, if it is followed. */
  get url(): string | undefined {
    return this.#url
  }

  get origin(): string {
    return this.log.origin
  }

  /**
   * Refuses keys of which none has signed what is stored: with them the copy could not be opened again.
   *
   * @throws SteleError `untrusted_signer`
   */
  checkRelisting({ keys }: Pick<WitnessedLog, 'keys'>): void {
    const { pending, followed } = this.#state
    const log = { origin: this.origin, keys }
    for (const signed of [...pending, ...(followed ? [followed] : [])]) {
      openStored(signed, log, `mirror of ${this.origin}`)
    }
  }

  /** Trusts exactly these keys from now on, which were checked, and uses this URL. */
  relist({ keys }: Pick<WitnessedLog, 'keys'>, url: string | undefined): void {
    this.#log = { origin: this.origin, keys }
    this.#url = url
  }

  /** The first entry that is not stored. */
  get nextEntry(): number {
    return this.#tree.size
  }

  get state(): MirrorState {
    return this.#state
  }

  /** The newest checkpoint of the log, whose entries may not all be here. */
  get pending(): LogSigned | undefined {
    return this.#state.pending.at(-1)
  }

  /** Why nothing is accepted or cosigned any more; undefined while there is no failure. */
  get failure(): SteleError | undefined {
    return this.#failure
  }

  /** Known damage of the stored content. While there is any, nothing is cosigned. */
  get findings(): readonly ScrubFinding[] {
    const readBefore = this.#readBack.list()
    const scrubbed = this.#scrubber?.status.findings ?? []
    const isNew = ({ place }: ScrubFinding): boolean => !readBefore.some((other) => other.place === place)
    return [...readBefore, ...scrubbed.filter(isNew)]
  }

  /** The damage as an error that names the log and the first finding; undefined without known damage. */
  get damage(): SteleError | undefined {
    const { findings } = this
    const [first] = findings
    if (!first) return undefined
    const more = findings.length > 1 ? `, and ${findings.length - 1} more` : ''
    const message = `log ${this.origin}: damaged, so nothing is cosigned: ${first.message}${more}`
    return new SteleError('corrupt', message)
  }

  /** How far its scrubber is, if it has one. */
  get scrub(): ScrubStatus | undefined {
    return this.#scrubber?.status
  }

  /** Begins to read all of the copy again and again, at a rate, until {@link close}. */
  startScrubbing(options: CopyScrubbing): void {
    invariant(!this.#scrubber, 'a copy has one scrubber')
    const { damage: events = {} } = this.#parts
    this.#scrubber = new Scrubber(this.#stored, { ...options, events })
  }

  /** A checkpoint that an upload may end at: one of the last pending ones, or the mirror checkpoint. */
  signedAt(size: number): LogSigned | undefined {
    const { pending, mirrored, followed } = this.#state
    const found = pending.find(({ checkpoint }) => checkpoint.size === size)
    if (found || mirrored?.checkpoint.size !== size) return found
    const text = mirrored.note.slice(0, mirrored.note.lastIndexOf('\n\n') + 1)
    if (followed?.text === text) return followed
    const shown = { seenAtMs: mirrored.timestampSeconds * 1000, isServed: false }
    return logSigned({ text, signatures: mirrored.logSignatures }, shown)
  }

  /** The smallest checkpoint of at least this size all of whose entries are here. */
  signedAbove(size: number): LogSigned | undefined {
    const { pending, mirrored } = this.#state
    const sizes = [...pending, ...(mirrored ? [mirrored] : [])].map(({ checkpoint }) => checkpoint.size)
    const here = sizes.filter((other) => other >= size && other <= this.nextEntry)
    return here.length === 0 ? undefined : this.signedAt(Math.min(...here))
  }

  /**
   * Makes a checkpoint of the log the pending one, if it extends the current one.
   *
   * @returns the verdict of a witness, and what the checkpoint was compared with
   * @throws SteleError as {@link append}
   */
  movePending(
    signed: LogSigned,
    proof: Pick<JudgedRequest, 'oldSize' | 'path'>,
  ): Promise<{ verdict: Verdict; held: LogSigned | undefined }> {
    return this.#step(async () => {
      const held = this.pending
      const verdict = judge(held?.checkpoint, { ...proof, checkpoint: signed.checkpoint })
      if (verdict.kind === 'cosign') await this.#keepPending(held, signed)
      return { verdict, held }
    })
  }

  /** Notes what the log's URL serves, of a size that was pending before. */
  noteFollowed(signed: LogSigned): Promise<void> {
    return this.#step(async () => {
      if (this.#state.followed?.text !== signed.text) await this.#commit({ ...this.#state, followed: signed })
    })
  }

  /**
   * Stores entries that were verified against a pending checkpoint. Those that are here already are skipped, so that
   * several may upload the same ones at once.
   *
   * @param begin index of the first one, at most {@link nextEntry}
   * @returns once they are on disk
   * @throws SteleError `outcome_unknown` if writing failed; `log_halted` after that, or after the log contradicted
   *   itself; `rate_limited` if too many wait; `shutting_down`
   */
  append(begin: number, entries: readonly Uint8Array[]): Promise<void> {
    return this.#step(async () => {
      invariant(begin <= this.#tree.size, 'entries are stored without a hole between them')
      const fresh = entries.slice(this.#tree.size - begin)
      if (fresh.length === 0) return
      const slab = new Uint8Array(fresh.length * HASH_BYTES)
      fresh.forEach((entry, i) => hashLeafInto(slab, i * HASH_BYTES, entry))
      await this.#commit(this.#state, { entries: fresh, ...growTree(this.#tree, slab) })
    })
  }

  /**
   * Cosigns a checkpoint whose entries are all on disk, and makes it the mirror checkpoint. First reads the added
   * content back from the store and compares it with the tree.
   *
   * @returns what is served from now on; undefined if the mirror checkpoint is larger, and then nothing was signed
   * @throws SteleError as {@link append}; `corrupt` if stored content is known to be damaged, or does not match the
   *   checkpoint; `io_error` if reading it back failed
   */
  async advance(to: LogSigned): Promise<CosignedHead | undefined> {
    // Outside the log's turn: content below a committed size does not change, and reading a large range takes time.
    await this.#checkStored(to.checkpoint.size)
    return this.#step(async () => {
      const { mirrored } = this.#state
      const { size, root } = to.checkpoint
      if (mirrored && size < mirrored.checkpoint.size) return undefined
      if (this.damage) throw this.damage
      // Checked although it was verified on arrival: only a tree that the mirror can serve is signed.
      const stored: Hash = size === this.#tree.size ? this.#tree.root : await rootAt(this.reader, size)
      if (!equalBytes(stored, root)) {
        throw new SteleError(
          'corrupt',
          `log ${this.origin}: the entries below ${size} are not those of its checkpoint`,
        )
      }
      return this.#cosign(to, mirrored)
    })
  }

  /**
   * Restores known damage from the log's own files or another copy. Only bytes that match the hashes of this tree are
   * written. Damage stays known until it was read again and found good.
   *
   * @param size how many leaves the other copy has
   * @returns what was done; undefined if no damage can be repaired from another copy
   * @throws SteleError as `repairRange`
   */
  async repairFrom(files: LogFiles, size: number): Promise<RepairReport | undefined> {
    const range = entriesOf(this.findings)
    if (!range) return undefined
    const report = await repairRange(this.#parts.store, this.#tree, { files, size }, range)
    // It may hold tiles as they were.
    this.#reader = this.#newReader()
    return report
  }

  /** Accepts nothing more, because the log contradicted itself. Cosigned content is still served. */
  halt(reason: SteleError): void {
    this.#failure ??= reason
  }

  /** Keeps the files open until the returned function is called, also if the log is dropped meanwhile. */
  hold(): () => void {
    this.#holders++
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      if (--this.#holders === 0) for (const tell of this.#unheld.splice(0)) tell()
    }
  }

  /** Runs a task with the files open. */
  async holding<T>(task: () => Promise<T>): Promise<T> {
    const release = this.hold()
    try {
      return await task()
    } finally {
      release()
    }
  }

  get isHeld(): boolean {
    return this.#holders > 0
  }

  /** Resolves once nothing holds it. */
  async unheld(): Promise<void> {
    if (this.isHeld) await new Promise<void>((resolve) => this.#unheld.push(resolve))
  }

  get isClosing(): boolean {
    return this.#closed !== undefined
  }

  /** Lets steps end that were begun, and closes the files. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  // What follows is how the copy is served: up to the mirror checkpoint, and nothing beyond it.

  /** The mirror checkpoint. @throws SteleError `not_found` while there is none */
  get published(): { readonly size: number; readonly checkpoint: string } {
    const { mirrored } = this.#state
    if (mirrored) return { size: mirrored.checkpoint.size, checkpoint: mirrored.note }
    throw new SteleError('not_found', `log ${this.origin}: this mirror does not have a checkpoint of it yet`)
  }

  /** A tile, as wide as asked. @throws SteleError `not_found` beyond the mirror checkpoint */
  async readTile(tile: TileId): Promise<Uint8Array> {
    this.#checkPublished((tile.index * 256 + tile.width) * 256 ** tile.level)
    const [hashes] = await this.reader.readTiles([tile])
    return hashes!.bytes.subarray(0, tile.width * HASH_BYTES)
  }

  /** Entries [begin, end), as `Log.readEntries`. @throws SteleError `not_found` beyond the mirror checkpoint */
  async readEntries(begin: number, end: number, maxBytes?: number): Promise<Uint8Array[]> {
    this.#checkPublished(end)
    return this.#parts.store.readEntries(begin, end, maxBytes)
  }

  #checkPublished(end: number): void {
    const { size } = this.published
    if (end > size) {
      throw new SteleError('not_found', `log ${this.origin}: the mirror checkpoint has ${size} leaves`)
    }
  }

  async #close(): Promise<void> {
    await this.#scrubber?.close()
    await this.#turns.idle()
    await this.#parts.headFile.close()
    await this.#parts.store.close()
  }

  async #checkStored(size: number): Promise<void> {
    invariant(size <= this.#tree.size, 'what is cosigned is on disk')
    const begin = this.#state.mirrored?.checkpoint.size ?? 0
    if (begin >= size) return
    await readBack(this.#stored, { begin, end: size }, (stretch, found) => {
      this.#readBack.settle(stretch, found)
    })
  }

  #newReader(): TileReader {
    return new TileReader(this.#parts.store, () => this.#tree, this.#parts.cacheBytes)
  }

  async #keepPending(held: LogSigned | undefined, signed: LogSigned): Promise<void> {
    const isSame = held?.note === signed.note
    if (isSame && (!signed.isServed || this.#state.followed?.text === signed.text)) return
    const size = this.#state.mirrored?.checkpoint.size ?? 0
    const before = this.#state.pending.filter(({ checkpoint }) => {
      return checkpoint.size >= size && checkpoint.size < signed.checkpoint.size
    })
    // A repeated checkpoint updates its source, but keeps the time when it was first seen.
    const newest = held?.text === signed.text ? { ...signed, seenAtMs: held.seenAtMs } : signed
    const pending = [...before, newest].slice(-MOST_PENDING)
    await this.#commit({ ...this.#state, pending, ...(signed.isServed ? { followed: newest } : {}) })
  }

  async #cosign(to: LogSigned, mirrored: CosignedHead | undefined): Promise<CosignedHead> {
    // A clock that goes back must not produce an older statement, and a time of 0 would state nothing.
    const nowSeconds = Math.floor(this.#parts.nowMs() / 1000)
    const timestampSeconds = Math.max(nowSeconds, mirrored?.timestampSeconds ?? 0, 1)
    const isHeld = mirrored?.timestampSeconds === timestampSeconds && mirrored.note.startsWith(`${to.text}\n`)
    // However often callers ask for it, a second costs one signature and one write.
    if (isHeld && mirrored.ownSignatures.length === this.#parts.keys.length) return mirrored
    const lines: NoteSignature[] = []
    for (const key of this.#parts.keys) lines.push(await key.cosign(to.text, timestampSeconds))
    const next = cosignedHead(to, lines, timestampSeconds)
    const pending = this.#state.pending.filter(({ checkpoint }) => checkpoint.size >= to.checkpoint.size)
    await this.#commit({ ...this.#state, pending, mirrored: next, cosigned: this.#state.cosigned + 1 })
    return next
  }

  /**
   * One atomic, synced write; then, after a cosignature, its number in the head file; then the new state becomes
   * visible.
   */
  async #commit(state: MirrorState, grown?: Grown): Promise<void> {
    const tree = grown?.tree ?? this.#tree
    const record = encodeRecord({
      root: tree.root,
      cosigned: state.cosigned,
      pending: state.pending,
      mirrored: state.mirrored?.note,
      followed: state.followed,
    })
    try {
      const { entries = [], tiles = [] } = grown ?? {}
      await this.#parts.store.commit({
        from: this.#tree.size,
        entries,
        tiles,
        head: { size: tree.size, record },
      })
      // In this order: after a crash between the two, a number ahead of its commit would be a false alarm.
      if (state.cosigned > this.#state.cosigned) await this.#parts.headFile.write(encodeCount(state.cosigned))
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause)
      this.#failure ??= new SteleError('outcome_unknown', `log ${this.origin}: writing failed: ${message}`, {
        cause,
      })
      throw this.#failure
    }
    this.#tree = tree
    this.#state = state
  }

  #step<T>(task: () => Promise<T>): Promise<T> {
    if (this.isClosing) return Promise.reject(new SteleError('shutting_down', 'this mirror is stopping'))
    return this.#turns.take('', async () => {
      // Checked in its turn: the step before it may have failed.
      if (this.#failure) throw haltedBy(this.origin, this.#failure)
      return task()
    })
  }
}

interface Grown {
  readonly entries: readonly Uint8Array[]
  readonly tree: Tree
  readonly tiles: readonly FullTile[]
}

function haltedBy(origin: string, cause: SteleError): SteleError {
  const message = `log ${origin}: the mirror takes nothing more of it until it is started again: ${cause.message}`
  return new SteleError('log_halted', message, { cause, retryAfterSeconds: 60 })
}
