import type { Clock } from '../../client/index.ts'
import { systemClock } from '../../client/clock.ts'

/** The time on a stage: that of the machine, and moved on when an attack takes hours. */
export class StageClock implements Clock {
  #aheadMs = 0

  readonly random = systemClock.random
  readonly sleep = systemClock.sleep
  readonly nowMs = (): number => systemClock.nowMs() + this.#aheadMs

  /** Lets time pass for everybody who looks at this clock. */
  moveOn(ms: number): void {
    this.#aheadMs += ms
  }
}
