import { visible } from '../../bytes/visible.ts'
import type { Sink } from '../io.ts'
import { formatCount, formatSeconds } from './units.ts'

const REDRAW_MS = 100
const BAR_WIDTH = 24

/** One line on a terminal that is drawn over itself. Does nothing without a terminal. */
export class Progress {
  readonly #sink: Sink | undefined
  readonly #label: string
  #total: number | undefined
  readonly #startedMs: number
  #done = 0
  #extra = ''
  #drawnMs = 0

  constructor(sink: Sink | undefined, label: string, total: number | undefined, nowMs = performance.now()) {
    this.#sink = sink
    this.#label = label
    this.#total = total
    this.#startedMs = nowMs
  }

  /** Says how far it is, and where it ends if that is known only now; draws at most ten times a second. */
  at(done: number, extra = '', total = this.#total): void {
    this.#done = done
    this.#extra = extra
    this.#total = total
    this.draw(() => this.#line(performance.now()))
  }

  /** Shows a line of the caller's own; `make` is called only when it is drawn. */
  draw(make: () => string): void {
    if (!this.#sink) return
    const nowMs = performance.now()
    if (nowMs - this.#drawnMs < REDRAW_MS) return
    this.#drawnMs = nowMs
    this.#sink.write(`\r\u001B[K${visible(make()).slice(0, (this.#sink.columns ?? 80) - 1)}`)
  }

  /** Takes the line away, so that what is written next begins at the left. */
  end(): void {
    if (this.#sink && this.#drawnMs > 0) this.#sink.write('\r\u001B[K')
  }

  #line(nowMs: number): string {
    const seconds = (nowMs - this.#startedMs) / 1000
    const rate = seconds > 0 ? this.#done / seconds : 0
    const parts = [this.#label, this.#bar(), formatCount(this.#done), `${formatCount(Math.round(rate))}/s`]
    if (this.#total !== undefined && rate > 0 && this.#done < this.#total) {
      parts.push(`${formatSeconds((this.#total - this.#done) / rate)} left`)
    }
    if (this.#extra) parts.push(this.#extra)
    return parts.filter(Boolean).join('  ')
  }

  #bar(): string {
    if (this.#total === undefined || this.#total === 0) return ''
    const share = Math.min(1, this.#done / this.#total)
    const full = Math.round(share * BAR_WIDTH)
    return `[${'#'.repeat(full)}${'.'.repeat(BAR_WIDTH - full)}] ${String(Math.floor(share * 100)).padStart(3)} %`
  }
}
