import { equalBytes } from '../bytes/bytes.ts'
import { toHex } from '../bytes/hex.ts'
import { firstDifference } from '../client/audit-finding.ts'
import { EMPTY_ROOT, HASH_BYTES, hashLeafInto } from '../merkle/hash.ts'
import { SteleError } from '../errors.ts'
import { DamagedFileError, type Inspected, type StoredId } from '../storage/store.ts'
import type { Tree } from '../tile/grow.ts'
import { TileHashes } from '../tile/hashes.ts'
import { TILE_WIDTH } from '../tile/path.ts'
import { rootAt } from '../tile/prove.ts'
import { decodeHead } from '../log/head.ts'
import { checkIndexed } from '../log/leaf-index.ts'
import {
  describeFound,
  fileFinding,
  indexFileFinding,
  scrubFinding,
  type LeafPlace,
  type ScrubFinding,
} from './scrub-finding.ts'
import type { StoredParts } from '../log/options.ts'
import type { VerifiedPath } from './scrub-path.ts'

/** Entries of one read: at most 4 MiB in memory, at 64 KiB each. */
const READ_STEP = 64
/** Bytes that are hashed, and heads that are verified, before others get their turn: about a millisecond. */
const TURN_BYTES = 256 * 1024
const TURN_HEADS = 4
/** What a look-up in the leaf index reads of the disk: a block of LevelDB. */
const LOOKUP_BYTES = 4096

/** How a stretch is checked. */
export interface StretchOptions {
  /** Which leaves to look up in the leaf index. */
  readonly looksUp: (index: number) => boolean
  /** Lets others have their turn between two pieces of work. */
  readonly yieldTurn: () => Promise<void>
}

/** One piece of work of a scrubber. */
export interface ScrubCheck {
  readonly findings: readonly ScrubFinding[]
  /** What was read, for the rate limit. */
  readonly bytesRead: number
  /** @throws SteleError `io_error` when reading failed: then nothing is known */
  run(): Promise<void>
}

/**
 * Checks all that is stored of the entries that one tile of level 0 covers: the files that begin there, the entries, the
 * tiles of any level that end there, the heads of these sizes, and a sample of the leaf index.
 */
export class StretchCheck implements ScrubCheck {
  readonly findings: ScrubFinding[] = []
  /** Stretches before this one in which a damaged part of a file begins that reaches into it. */
  readonly damagedBefore = new Set<number>()
  readonly #parts: StoredParts
  readonly #path: VerifiedPath
  readonly #tree: Tree
  readonly #options: StretchOptions
  readonly #number: number
  readonly #begin: number
  readonly #end: number
  #bytesRead = 0

  /**
   * @param tree the tree that `path` was moved to; it reaches beyond the stretch's begin, or the stretch is empty
   * @param number of the stretch, as the level-0 tile's
   */
  constructor(parts: StoredParts, path: VerifiedPath, tree: Tree, number: number, options: StretchOptions) {
    this.#parts = parts
    this.#path = path
    this.#tree = tree
    this.#options = options
    this.#number = number
    this.#begin = number * TILE_WIDTH
    this.#end = Math.min(this.#begin + TILE_WIDTH, tree.size)
  }

  get bytesRead(): number {
    return this.#bytesRead + this.#path.takeBytesRead()
  }

  async run(): Promise<void> {
    await this.#checkFiles()
    const expected = await this.#path.tile(0, this.#number)
    await this.#checkEntries(expected)
    await this.#checkTiles()
    await this.#checkHeads()
    if (expected) await this.#checkIndex(expected)
  }

  async #checkFiles(): Promise<void> {
    const end = this.#begin + TILE_WIDTH
    const checked = await this.#parts.store.checkFiles?.(this.#begin, end, this.#options.yieldTurn)
    if (!checked) return
    this.#bytesRead += checked.bytesRead
    this.findings.push(...checked.faults.map(fileFinding))
  }

  async #checkEntries(expected: TileHashes | undefined): Promise<void> {
    const hash = new Uint8Array(HASH_BYTES)
    let hashed = 0
    for (let at = this.#begin; at < this.#end; at += READ_STEP) {
      const count = Math.min(READ_STEP, this.#end - at)
      const entries = await this.#read(count, (i) => ({ kind: 'entry', index: at + i }))
      for (const [i, entry] of entries.entries()) {
        const index = at + i
        const id = { kind: 'entry', index } as const
        const wanted = expected && toHex(expected.node(0, index - this.#begin))
        if (this.#isInDamagedFile(entry)) continue
        if (!(entry instanceof Uint8Array)) {
          this.#found(id, wanted && `leaf hash ${wanted}`, describeFound(entry))
          continue
        }
        hashLeafInto(hash, 0, entry)
        if (wanted !== undefined && toHex(hash) !== wanted) {
          this.#found(id, `leaf hash ${wanted}`, `leaf hash ${toHex(hash)}`)
        }
        hashed += entry.length
        if (hashed > TURN_BYTES) {
          hashed = 0
          await this.#options.yieldTurn()
        }
      }
    }
  }

  /** The tiles whose last leaf is the stretch's last: those that the same commit wrote. */
  async #checkTiles(): Promise<void> {
    for (let level = 0; this.#end > this.#begin && this.#end % TILE_WIDTH ** (level + 1) === 0; level++) {
      const index = this.#end / TILE_WIDTH ** (level + 1) - 1
      const [stored] = await this.#read(1, () => ({ kind: 'tile', level, index }))
      await this.#checkTile(level, index, stored)
    }
  }

  async #checkTile(level: number, index: number, stored: Inspected): Promise<void> {
    const id = { kind: 'tile', level, index } as const
    if (this.#isInDamagedFile(stored)) return
    if (!(stored instanceof Uint8Array) || stored.length !== TILE_WIDTH * HASH_BYTES) {
      return this.#found(id, '8192 bytes', describeFound(stored))
    }
    const expected = await this.#path.tile(level, index)
    if (expected) {
      const position = firstDifference(expected.bytes, stored)
      if (position === undefined) return
      const [want, found] = [expected.node(0, position), new TileHashes(stored).node(0, position)]
      return this.#found(id, `${toHex(want)} at position ${position}`, toHex(found))
    }
    // Neither the stored hashes nor what lies below leads to what the level above has, or that level is damaged too.
    const root = await this.#path.rootOf(level, index)
    const found = toHex(new TileHashes(stored).node(8, 0))
    this.#found(id, root && `hashes with root ${toHex(root)}`, `hashes with root ${found}`)
  }

  async #checkHeads(): Promise<void> {
    // The head of size n is filed before entry n, so the stretch's own begin belongs to the stretch before.
    const first = this.#number === 0 ? 0 : this.#begin + 1
    let verified = 0
    for (let at = first; at <= this.#end; at += READ_STEP) {
      const count = Math.min(READ_STEP, this.#end + 1 - at)
      const heads = await this.#read(count, (i) => ({ kind: 'head', size: at + i }))
      for (const [i, head] of heads.entries()) {
        const size = at + i
        // Not every size was signed, but the newest was: it is what the edge in memory is compared with.
        if (head === undefined && size !== this.#tree.size) continue
        await this.#checkHead(size, head)
        if (++verified % TURN_HEADS === 0) await this.#options.yieldTurn()
      }
    }
  }

  async #checkHead(size: number, stored: Inspected): Promise<void> {
    const id = { kind: 'head', size } as const
    if (this.#isInDamagedFile(stored)) return
    if (!(stored instanceof Uint8Array)) return this.#found(id, 'a signed head', describeFound(stored))
    const root = await this.#rootAt(size)
    try {
      const head = decodeHead(stored, `head of size ${size}`)
      if (head.size !== size) {
        return this.#found(id, `a head of size ${size}`, `one of size ${head.size}`)
      }
      this.#parts.verifyHead(head)
      if (root && !equalBytes(root, head.root)) {
        this.#found(id, `root hash ${toHex(root)}`, `root hash ${toHex(head.root)}`)
      }
    } catch (error) {
      if (!(error instanceof SteleError)) throw error
      this.#found(id, 'a head signed by this log', `${describeFound(stored)}: ${error.message}`)
    }
  }

  /** The root of an earlier size by the verified tiles; undefined where they are damaged, which is found as such. */
  async #rootAt(size: number): Promise<Uint8Array | undefined> {
    if (size === 0) return EMPTY_ROOT
    try {
      return await rootAt(this.#path, size)
    } catch (error) {
      if (error instanceof SteleError && error.code === 'corrupt') return undefined
      throw error
    }
  }

  async #checkIndex(expected: TileHashes): Promise<void> {
    const leaves: { index: number; hash: Uint8Array }[] = []
    for (let index = this.#begin; index < this.#end; index++) {
      if (this.#options.looksUp(index)) leaves.push({ index, hash: expected.node(0, index - this.#begin) })
    }
    if (leaves.length === 0) return
    this.#bytesRead += leaves.length * LOOKUP_BYTES
    for (const { index, found } of await checkIndexed(this.#parts.index, this.#parts.store, leaves)) {
      const answer = found === undefined ? 'nothing' : `index ${found}`
      this.#found({ kind: 'leaf_index', index }, `index ${index}`, answer)
    }
  }

  async #read(count: number, placeAt: (i: number) => StoredId): Promise<Inspected[]> {
    const read = await this.#parts.store.inspect(Array.from({ length: count }, (_, i) => placeAt(i)))
    for (const value of read) if (value instanceof Uint8Array) this.#bytesRead += value.length
    return read
  }

  /** What is in it is one finding, in the stretch where the damage begins. */
  #isInDamagedFile(found: Inspected): boolean {
    if (!(found instanceof DamagedFileError)) return false
    const stretch = Math.floor(found.fault.begin / TILE_WIDTH)
    if (stretch < this.#number) this.damagedBefore.add(stretch)
    return true
  }

  #found(at: StoredId | LeafPlace, expected: string | undefined, found: string): void {
    this.findings.push(scrubFinding(at, expected ?? 'what the damaged level above can no longer tell', found))
  }
}

/** Checks files of the leaf index. */
export class IndexFilesCheck implements ScrubCheck {
  findings: readonly ScrubFinding[] = []
  bytesRead = 0
  readonly #parts: StoredParts
  readonly #share: readonly [from: number, to: number] | undefined
  readonly #yieldTurn: () => Promise<void>

  constructor(
    parts: StoredParts,
    share: readonly [from: number, to: number] | undefined,
    yieldTurn: () => Promise<void>,
  ) {
    this.#parts = parts
    this.#share = share
    this.#yieldTurn = yieldTurn
  }

  async run(): Promise<void> {
    const checked = await this.#parts.index.checkFiles?.(this.#share, this.#yieldTurn)
    if (!checked) return
    this.bytesRead = checked.bytesRead
    this.findings = checked.faults.map(({ place, message }) => indexFileFinding(place, message))
  }
}
