import { Counter, Gauge, type Registry } from 'prom-client'

/**
 * A metric that is read from an object when Prometheus scrapes. A counter if its name ends in `_total`, else a gauge.
 */
export type Reading<Thing> = readonly [name: string, help: string, read: (thing: Thing) => number | undefined]

/**
 * Registers metrics that are read from objects of one kind.
 *
 * @param label identifies the object
 * @param things the current objects, each with its label value
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
        // Reset at each scrape, so that an object that is gone does not keep its last value.
        this.reset()
        for (const [value, thing] of things()) {
          const number = read(thing)
          if (number !== undefined) this.inc({ [label]: value }, number)
        }
      },
    })
  }
}
