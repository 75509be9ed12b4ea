/** What came of asking for a share: it was taken, there is no room at all, or this holder has too much already. */
export type Taken = 'taken' | 'full' | 'share'

/** An amount of one thing that many hold parts of. Owner of the total and of what each of them holds. */
export class Quota {
  readonly #most: number
  readonly #mostEach: number
  #held = 0
  readonly #heldBy = new Map<string, number>()

  /**
   * @param most what all may hold together
   * @param mostEach what one may hold
   */
  constructor(most: number, mostEach: number) {
    this.#most = most
    this.#mostEach = mostEach
  }

  /** What all hold together. */
  get held(): number {
    return this.#held
  }

  /** Unless it answers `taken`, nothing was counted. */
  take(holder: string, amount: number): Taken {
    if (this.#held + amount > this.#most) return 'full'
    const held = (this.#heldBy.get(holder) ?? 0) + amount
    if (held > this.#mostEach) return 'share'
    this.#held += amount
    this.#heldBy.set(holder, held)
    return 'taken'
  }

  /** Gives back what was taken. */
  release(holder: string, amount: number): void {
    if (amount === 0) return
    this.#held -= amount
    const held = this.#heldBy.get(holder)! - amount
    if (held > 0) this.#heldBy.set(holder, held)
    else this.#heldBy.delete(holder)
  }
}
