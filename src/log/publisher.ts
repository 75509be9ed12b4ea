import { LRUCache } from 'lru-cache'
import { hasCode, invariant, SteleError } from '../errors.ts'
import { EMPTY_ROOT, type Hash } from '../merkle/hash.ts'
import { verifyConsistency } from '../merkle/verify.ts'
import { proveConsistency, rootAt, type TileSource } from '../tile/prove.ts'
import type { Head, SignedHead } from './head.ts'
import type { Lifecycle } from './lifecycle.ts'

/** Asks others to cosign a head before readers see it. */
export interface HeadCosigner {
  /** The median of the times that its witnesses have last cosigned at, milliseconds since 1970; undefined before the first. */
  readonly timeMs?: number | undefined
  /**
   * Gathers cosignatures for a head that is on disk.
   *
   * @param proveConsistency from an older size to this head's
   * @returns the checkpoint to publish: the log's, with the lines that were verified
   * @throws SteleError `quorum_not_met` when too few cosigned it in time; `rolled_back` when a witness has cosigned a
   *   larger tree of this log: then it was rolled back, or has a second writer; `fork` when a witness holds another history
   *   and that is to stop the log
   */
  cosign(head: SignedHead, proveConsistency: (oldSize: number) => Promise<Hash[]>): Promise<string>
}

/** Keeps the published head over restarts, for a log that waits for cosignatures. */
export interface PublishedStore {
  /** Resolves once it is on disk. */
  write(head: SignedHead): Promise<void>
}

/** Who cosigns the heads of a log before readers see them, and what of that outlives a restart. */
export interface Witnessing {
  readonly cosigner: HeadCosigner
  readonly store: PublishedStore
  /** What was published when the log was closed, not verified; undefined where that is lost. */
  readonly suspect: Uint8Array | 'none yet' | undefined
  /** How long to wait before asking again after too few cosigned. */
  readonly retryMs: number
  /**
   * The log also takes entries when the first round of asking brings no confirmation. What contradicts the log still stops
   * it. For a log that others wait for: the audit trail.
   */
  readonly goesOn?: boolean
}

/**
 * Owner of the published head: the one that readers see. It grows, and never past what is on disk, because only integrated heads
 * are handed in. Without witnesses a head is published as soon as it is integrated. With witnesses it is published once their
 * quorum has cosigned it; until then readers see the older one. The first round of cosigning ends the state `confirming`.
 */
export class Publisher {
  #published: SignedHead
  readonly #lifecycle: Lifecycle
  readonly #tiles: TileSource
  readonly #witnessing: Witnessing | undefined
  readonly #waiting = new Set<{ size: number; wake: () => void }>()
  /** The newest head that was handed in. */
  #newest: SignedHead
  #running: Promise<void> | undefined
  /** True until witnesses have cosigned once since the log was opened, even if they did before. */
  #unconfirmed: boolean
  #closed = false
  #endPause: (() => void) | undefined
  #failure: SteleError | undefined

  constructor(
    published: SignedHead,
    lifecycle: Lifecycle,
    tiles: TileSource,
    witnessing: Witnessing | undefined,
  ) {
    this.#published = published
    this.#newest = published
    this.#lifecycle = lifecycle
    this.#tiles = tiles
    this.#witnessing = witnessing
    this.#unconfirmed = witnessing !== undefined
  }

  get published(): SignedHead {
    return this.#published
  }

  /** Why the newest head is not published yet, if that was tried. */
  get failure(): SteleError | undefined {
    return this.#failure
  }

  /** Takes a newer head. Never waits. */
  publish(head: SignedHead): void {
    this.#newest = head
    if (!this.#witnessing) this.#show(head)
    else this.#running ??= this.#gather(this.#witnessing)
  }

  /** Stops asking witnesses. Calls of `whenPast` that wait resolve with false. */
  async close(): Promise<void> {
    this.#closed = true
    this.#endPause?.()
    for (const waiter of this.#waiting) waiter.wake()
    await this.#running
  }

  /**
   * Waits until the published head has grown past a size.
   *
   * @returns true once it has, false when the signal was aborted or the log was closed first
   */
  async whenPast(size: number, signal: AbortSignal): Promise<boolean> {
    if (this.#published.size > size) return true
    if (signal.aborted || this.#closed) return false
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(waiter)
        signal.removeEventListener('abort', wake)
        resolve()
      }
      const waiter = { size, wake }
      this.#waiting.add(waiter)
      signal.addEventListener('abort', wake, { once: true })
    })
    return this.#published.size > size
  }

  #show(head: SignedHead): void {
    invariant(head.size >= this.#published.size, 'a published head goes back')
    this.#published = head
    for (const waiter of this.#waiting) {
      if (head.size > waiter.size) waiter.wake()
    }
  }

  /** Heads that are signed while one is being cosigned are skipped: the next round takes the newest. */
  async #gather(witnessing: Witnessing): Promise<void> {
    while (!this.#closed && (this.#unconfirmed || this.#newest.timestampMs > this.#published.timestampMs)) {
      try {
        this.#show(await cosigned(this.#newest, witnessing, this.#tiles))
        this.#failure = undefined
        if (this.#unconfirmed) this.#lifecycle.confirm()
        this.#unconfirmed = false
      } catch (error) {
        this.#failure = asSteleError(error)
        if (hasCode(error, 'rolled_back', 'fork')) {
          this.#lifecycle.contradict(error)
          break
        }
        if (witnessing.goesOn) this.#lifecycle.confirm()
        await this.#pause(witnessing.retryMs)
      }
    }
    this.#running = undefined
  }

  #pause(ms: number): Promise<void> {
    if (this.#closed) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#endPause = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

/** Gathers cosignatures for a head, and keeps it as the published one. @throws SteleError as `HeadCosigner.cosign` */
export async function cosigned(
  head: SignedHead,
  { cosigner, store }: Pick<Witnessing, 'cosigner' | 'store'>,
  tiles: TileSource,
): Promise<SignedHead> {
  const prove = async (oldSize: number): Promise<Hash[]> =>
    oldSize === 0 ? [] : proveConsistency(tiles, oldSize, head.size)
  const checkpoint = await cosigner.cosign(head, prove)
  const published = { ...head, checkpoint }
  // Kept before it is shown: after a restart readers must not see an older one.
  await store.write(published)
  return published
}

function asSteleError(error: unknown): SteleError {
  if (error instanceof SteleError) return error
  const message = error instanceof Error ? error.message : String(error)
  return new SteleError('internal', `publishing: ${message}`, { cause: error })
}

/** Root hashes that are remembered: 32 bytes each. */
const MOST_ROOTS = 8192

/**
 * Root hashes at sizes below a signed one. Each is computed from tiles, and then proven to be a prefix of the signed tree. Without
 * that proof, a root and an inclusion proof from the same damaged tile would agree.
 */
export class EarlierRoots {
  readonly #tiles: TileSource
  readonly #roots = new LRUCache<number, Hash>({ max: MOST_ROOTS })

  constructor(tiles: TileSource) {
    this.#tiles = tiles
  }

  /**
   * The root of the first `size` leaves.
   *
   * @param signed a head of at least that size; all heads that this is called with extend each other
   * @throws SteleError `corrupt` when the stored tiles do not lead to the signed root
   */
  async at(size: number, signed: Head): Promise<Hash> {
    if (size === signed.size) return signed.root
    if (size === 0) return EMPTY_ROOT
    const known = this.#roots.get(size)
    if (known) return known
    return (await this.#prove(size, signed)).oldRoot
  }

  /**
   * The consistency proof between two sizes, checked: it leads to the signed root, or to an earlier one that does. Empty for
   * equal sizes and from 0.
   *
   * @param signed a head of at least the new size
   * @throws SteleError `out_of_range` unless oldSize <= newSize; `corrupt`
   */
  async proveConsistency(oldSize: number, newSize: number, signed: Head): Promise<Hash[]> {
    // Any tree extends the empty one; RFC 6962 defines no proof for it.
    if (oldSize === 0) return []
    if (oldSize === newSize) return proveConsistency(this.#tiles, oldSize, newSize)
    return (await this.#prove(oldSize, { size: newSize, root: await this.at(newSize, signed) })).path
  }

  /** Proves an earlier tree to be a prefix of one whose root is known to be right. */
  async #prove(
    oldSize: number,
    { size: newSize, root: newRoot }: Pick<Head, 'size' | 'root'>,
  ): Promise<{ path: Hash[]; oldRoot: Hash }> {
    const path = await proveConsistency(this.#tiles, oldSize, newSize)
    const oldRoot = await rootAt(this.#tiles, oldSize)
    try {
      verifyConsistency({ oldSize, newSize, oldRoot, newRoot, path })
    } catch (cause) {
      throw new SteleError(
        'corrupt',
        `tree size ${oldSize}: the stored tiles do not lead from it to the root at size ${newSize}`,
        { cause },
      )
    }
    // A copy: the hash may be a view into a tile of 16 KiB, which would stay in memory with it.
    this.#roots.set(oldSize, oldRoot.slice() as Hash)
    return { path, oldRoot }
  }
}
