import { equalBytes } from '../bytes/bytes.ts'
import { toHex } from '../bytes/hex.ts'
import { SteleError, type SteleErrorOptions } from '../errors.ts'
import type { Hash } from '../merkle/hash.ts'
import { verifyConsistency } from '../merkle/verify.ts'
import type { Checkpoint } from '../note/checkpoint.ts'
import { openTrusted, type Trust } from '../policy/evaluate.ts'
import { rootAt } from '../tile/prove.ts'
import { isDenied, type AskProof, type LeafAccess } from './served-proofs.ts'
import { VerifiedTiles, type TileCache } from './verified-tiles.ts'

// Receipts that come at a time are of few heads: this is far more than those.
const ROOTS_KEPT = 64

/** A checkpoint of the right log with a valid signature by one of its keys. */
export interface VerifiedCheckpoint extends Checkpoint {
  /** The signed checkpoint, verbatim: the evidence to store. */
  readonly note: string
}

/**
 * Two signed heads that contradict each other (`fork`), or of which the later one is smaller (`rolled_back`). Both
 * notes are evidence: store them.
 */
export class HeadConflict extends SteleError {
  /** The head that was verified earlier. */
  readonly known: VerifiedCheckpoint
  /** The head that does not go with it; its signature is good. */
  readonly suspect: VerifiedCheckpoint

  constructor(
    code: 'fork' | 'rolled_back',
    message: string,
    known: VerifiedCheckpoint,
    suspect: VerifiedCheckpoint,
    options: SteleErrorOptions = {},
  ) {
    super(code, message, options)
    this.known = known
    this.suspect = suspect
  }
}

/**
 * Owner of the newest verified head of one log. It only grows, and only to heads that extend it, so everything that one
 * client is shown belongs to one history.
 */
export class Heads {
  readonly #files: LeafAccess
  readonly #askProof: AskProof
  readonly #log: Trust
  readonly #cache: TileCache | undefined
  #newest: { readonly head: VerifiedCheckpoint; readonly tiles: VerifiedTiles } | undefined
  /** Root hashes of the accepted heads, the latest accepted last: a head that comes again costs no request. */
  readonly #roots = new Map<number, Hash>()
  /** The note opened last: receipts of entries that were committed together all hold the same one. */
  #opened: VerifiedCheckpoint | undefined
  /** Heads to check, one at a time: otherwise two forks could be checked against the same past. */
  #waiting: Waiting[] = []
  #judging = false

  constructor(files: LeafAccess, askProof: AskProof, log: Trust, cache?: TileCache) {
    this.#files = files
    this.#askProof = askProof
    this.#log = log
    this.#cache = cache
  }

  /** The newest head; undefined before the first one. */
  get newest(): VerifiedCheckpoint | undefined {
    return this.#newest?.head
  }

  /** The root hash of an accepted head of this size, of the latest ones. */
  rootOf(size: number): Hash | undefined {
    return this.#roots.get(size)
  }

  /** Tiles at a verified head. */
  tilesOf(head: VerifiedCheckpoint): VerifiedTiles {
    const newest = this.#newest
    // The tiles of the newest head are kept, with what was checked already.
    return newest?.head.size === head.size ? newest.tiles : new VerifiedTiles(this.#files, head, this.#cache)
  }

  /** Opens a signed checkpoint. How it relates to others, {@link accept} says. @throws SteleError as `openTrusted` */
  open(note: string): VerifiedCheckpoint {
    if (this.#opened?.note !== note) this.#opened = { ...openTrusted(note, this.#log).checkpoint, note }
    return this.#opened
  }

  /**
   * Proves that a head and the newest one are of one history, and remembers it if it is newer. The proof is made from
   * tiles; of a log that refuses leaf hashes to this caller, it is the one that the log serves, verified.
   *
   * @param atLeast the head that was known when the log was asked for its newest one. Leave it out for a head that
   *   may be an older one, for example of a receipt
   * @returns the head
   * @throws HeadConflict `rolled_back` for a head below `atLeast`; `fork`
   * @throws SteleError `bad_proof` for a served proof that does not lead from one to the other; as `VerifiedTiles`.
   *   Then nothing is known of how the two relate
   */
  async accept(head: VerifiedCheckpoint, atLeast?: VerifiedCheckpoint): Promise<VerifiedCheckpoint> {
    if (atLeast && head.size < atLeast.size) {
      throw new HeadConflict(
        'rolled_back',
        `log ${head.origin}: its head is of size ${head.size}, but one of size ${atLeast.size} was verified before`,
        atLeast,
        head,
      )
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ head, resolve, reject })
      if (!this.#judging) void this.#judgeAll()
    })
  }

  async #judgeAll(): Promise<void> {
    this.#judging = true
    while (this.#waiting.length > 0) {
      // The largest first: the others are then checked against its tiles, without further requests.
      const heads = this.#waiting.splice(0).sort((a, b) => b.head.size - a.head.size)
      for (const { head, resolve, reject } of heads) {
        await this.#judge(head).then(() => resolve(head), reject)
      }
    }
    this.#judging = false
  }

  async #judge(head: VerifiedCheckpoint): Promise<void> {
    const known = this.#newest
    if (known && head.size <= known.head.size) {
      await this.#checkPrefix(known.tiles, head, known.head, head)
      // The same tree again: the later note may carry more signatures.
      if (head.size === known.head.size) this.#newest = { head, tiles: known.tiles }
    } else {
      const tiles = new VerifiedTiles(this.#files, head, this.#cache)
      if (known) await this.#checkPrefix(tiles, known.head, known.head, head)
      this.#newest = { head, tiles }
    }
    this.#roots.delete(head.size)
    this.#roots.set(head.size, head.root)
    if (this.#roots.size > ROOTS_KEPT) this.#roots.delete(this.#roots.keys().next().value!)
  }

  /** The tree of `tiles` must have the root hash of `older` at that size. */
  async #checkPrefix(
    tiles: VerifiedTiles,
    older: VerifiedCheckpoint,
    known: VerifiedCheckpoint,
    suspect: VerifiedCheckpoint,
  ): Promise<void> {
    // For size 0 opening has checked the root hash, and any tree extends the empty one.
    if (older.size === 0) return
    const root = await this.#rootAt(tiles, older)
    if (equalBytes(root, older.root)) return
    throw new HeadConflict(
      'fork',
      `log ${known.origin}: two signed heads contradict each other. At size ${older.size} one has root hash ` +
        `${toHex(older.root)}, the one of size ${tiles.head.size} has ${toHex(root)}`,
      known,
      suspect,
    )
  }

  /**
   * The root hash of the tree of `tiles` at the size of `older`, computed from tiles that were checked against the
   * larger head. If it differs from the older head's, the signatures contradict each other, independently of what the
   * server sent.
   */
  async #rootAt(tiles: VerifiedTiles, older: VerifiedCheckpoint): Promise<Hash> {
    const { size } = tiles.head
    if (older.size === size) return tiles.head.root
    const accepted = size === this.#newest?.head.size ? this.#roots.get(older.size) : undefined
    if (accepted) return accepted
    if (!this.#files.refused) {
      try {
        return await rootAt(tiles, older.size)
      } catch (error) {
        if (!isDenied(error)) throw error
      }
    }
    const path = await this.#askProof(older.size, size)
    verifyConsistency({
      oldSize: older.size,
      newSize: size,
      oldRoot: older.root,
      newRoot: tiles.head.root,
      path,
    })
    return older.root
  }
}

interface Waiting {
  readonly head: VerifiedCheckpoint
  readonly resolve: (head: VerifiedCheckpoint) => void
  readonly reject: (reason: unknown) => void
}
