import { Counter, Gauge, type Registry } from 'prom-client'

/** A metric that is read off a thing when Prometheus asks. One whose name ends in `_total` is a counter, else a gauge. */
export type Reading<Thing> = readonly [name: string, help: string, read: (thing: Thing) => number | undefined]

/**
 * Registers metrics that are read off things of one kind.
 *
 * @param label tells the things apart
 * @param things those that there are now, each with its value of the label
 */
export function registerReadings<Thing>(
  registry: Registry,
  label: string,
  things: () => Iterable<readonly [value: string, thing: Thing]>,
  readings: readonly Reading<Thing>[],
): void {
  for (const [name, help, read] of readings) {
    const Kind = name.endsWith('_total') ? Counter : Gauge
    new Kind({
      name,
      help,
      labelNames: [label],
      registers: [registry],
      collect() {
        // Read anew each time: what is there no more must not keep its last value.
        this.reset()
        for (const [value, thing] of things()) {
          const number = read(thing)
          if (number !== undefined) this.inc({ [label]: value }, number)
        }
      },
    })
  }
}
