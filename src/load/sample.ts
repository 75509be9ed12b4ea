/** A fair choice of what went by, of bounded size (reservoir sampling). */
export class Sample<T> {
  readonly #size: number
  readonly #kept: T[] = []
  #seen = 0

  constructor(size: number) {
    this.#size = size
  }

  /** Offers one; `make` is called only if it is kept. */
  offer(make: () => T): void {
    const place = this.#seen < this.#size ? this.#seen : Math.floor(Math.random() * (this.#seen + 1))
    this.#seen++
    if (place < this.#size) this.#kept[place] = make()
  }

  get kept(): readonly T[] {
    return this.#kept
  }
}
