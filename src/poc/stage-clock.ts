import type { Clock } from '../client/index.ts'
import { systemClock } from '../client/clock.ts'

/** The time on a stage: that of the machine, and moved on when an attack takes hours. */
export class StageClock implements Clock {
  #aheadMs = 0

  nowMs(): number {
    return systemClock.nowMs() + this.#aheadMs
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return systemClock.sleep(ms, signal)
  }

  random(): number {
    return systemClock.random()
  }

  /** Lets time pass for everybody who looks at this clock. */
  moveOn(ms: number): void {
    this.#aheadMs += ms
  }
}
