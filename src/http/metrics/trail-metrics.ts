import { Counter, Gauge, type Registry } from 'prom-client'

/** What a meta log does, in numbers. */
export interface TrailStatus {
  /** Lines that are not on disk yet. */
  readonly waiting: number
  /** Lines that were written since the server began. */
  readonly written: number
  /** Lines that could not be written: what they were about was refused, or not acknowledged. */
  readonly failed: number
}

/** What the meta log says of itself, read when Prometheus asks. */
export function registerTrailMetrics(registry: Registry, status: () => TrailStatus): void {
  const registers = [registry]
  new Gauge({
    name: 'stele_meta_waiting_lines',
    help: 'Lines of the meta log that are not on disk yet.',
    registers,
    collect() {
      this.set(status().waiting)
    },
  })
  counter('stele_meta_lines_total', 'Lines of the meta log that were written.', () => status().written)
  counter('stele_meta_failures_total', 'Lines that could not be written.', () => status().failed)

  function counter(name: string, help: string, read: () => number): void {
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset()
        this.inc(read())
      },
    })
  }
}
