import type { LiveLeaf, Unit } from './unit.ts'

/** One commit on its way to both of its places. */
export interface Step {
  readonly units: readonly Unit[]
  readonly leaves: readonly LiveLeaf[]
  /** By a clock that nobody sets. */
  readonly beganMs: number
}

/** The commits that are on their way to the disk, oldest first. Owner of their list and their count. */
export class Steps {
  readonly #onTheWay = new Set<Step>()
  #committed = 0

  /** How many have reached both places. */
  get committed(): number {
    return this.#committed
  }

  /** When the oldest of what they carry was submitted, milliseconds since 1970; Infinity without any. */
  get oldestMs(): number {
    return Math.min(...[...this.#onTheWay].flatMap(({ units }) => units[0]?.queuedAtMs ?? []))
  }

  /** How long the oldest of them has been on its way. */
  get pendingMs(): number {
    const [oldest] = this.#onTheWay
    return oldest ? performance.now() - oldest.beganMs : 0
  }

  begin(units: readonly Unit[], leaves: readonly LiveLeaf[]): Step {
    const step = { units, leaves, beganMs: performance.now() }
    this.#onTheWay.add(step)
    return step
  }

  /** Whatever became of it. */
  end(step: Step): void {
    this.#onTheWay.delete(step)
  }

  count(): void {
    this.#committed++
  }
}
