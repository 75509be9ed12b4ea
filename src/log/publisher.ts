import { hasCode, invariant, SteleError } from '../errors.ts'
import type { Hash } from '../merkle/hash.ts'
import type { SignedHead } from './head.ts'

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

/** What publishing takes beyond the head itself: who cosigns, and where what they cosigned is kept. */
export interface Publication {
  readonly cosigner: HeadCosigner
  readonly store: PublishedStore
  /** How long to wait before asking again after too few cosigned. */
  readonly retryMs: number
  readonly proveConsistency: (oldSize: number, newSize: number) => Promise<Hash[]>
  /** Told once when the head that the log was opened with has been cosigned: nobody has seen a larger tree. */
  readonly onConfirmed: () => void
  /** Told of each round that brought neither cosignatures enough nor a contradiction. */
  readonly onUnanswered: () => void
  /** Told once when the log turns out to have signed a larger tree than it has, or another one. */
  readonly onContradiction: (error: SteleError) => void
}

/**
 * Owner of the published head: the one that readers see. It grows, and never past what is on disk, for only heads
 * that a commit has stored are handed in. Without witnesses a head is published the moment it is integrated; with
 * them when their quorum has cosigned it, and until then the older one stays.
 */
export class Publisher {
  #published: SignedHead
  readonly #publication: Publication | undefined
  readonly #waiting = new Set<{ size: number; wake: () => void }>()
  /** The newest head that was handed in. */
  #newest: SignedHead
  #running: Promise<void> | undefined
  /** True until witnesses have cosigned once since the log was opened, even if they did before. */
  #unconfirmed: boolean
  #closed = false
  #endPause: (() => void) | undefined
  #failure: SteleError | undefined

  constructor(published: SignedHead, publication?: Publication) {
    this.#published = published
    this.#newest = published
    this.#publication = publication
    this.#unconfirmed = publication !== undefined
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
    if (!this.#publication) this.#show(head)
    else this.#running ??= this.#gather(this.#publication)
  }

  /** Sends away whoever waits for a head that will not come, and stops asking. */
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
  async #gather(publication: Publication): Promise<void> {
    while (!this.#closed && (this.#unconfirmed || this.#newest.timestampMs > this.#published.timestampMs)) {
      try {
        this.#show(await cosigned(this.#newest, publication))
        this.#failure = undefined
        if (this.#unconfirmed) publication.onConfirmed()
        this.#unconfirmed = false
      } catch (error) {
        this.#failure = asSteleError(error)
        if (hasCode(error, 'rolled_back', 'fork')) {
          publication.onContradiction(error)
          break
        }
        publication.onUnanswered()
        await this.#pause(publication.retryMs)
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
  publication: Pick<Publication, 'cosigner' | 'store' | 'proveConsistency'>,
): Promise<SignedHead> {
  const { cosigner, store, proveConsistency } = publication
  const checkpoint = await cosigner.cosign(head, (oldSize) => proveConsistency(oldSize, head.size))
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
