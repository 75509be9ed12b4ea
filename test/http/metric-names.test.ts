import { expect, test } from 'vitest'
import { Connections } from '../../src/http/connections.ts'
import { DEFAULT_HTTP_LIMITS } from '../../src/http/limits.ts'
import { createMetrics } from '../../src/http/metrics/metrics.ts'
import { createMirrorMetrics } from '../../src/mirror/metrics.ts'
import { createWitnessMetrics } from '../../src/witness/metrics.ts'
import { createMonitorMetrics } from '../../src/monitor/metrics.ts'
import { memoryWitnessStore } from '../../src/witness/store.ts'
import { openTestLog } from '../support/log.ts'
import { directoryOf } from './server.ts'

/** What `promtool check metrics` says of names and help texts. */
function problemsOf(exposition: string): string[] {
  const helps = new Set([...exposition.matchAll(/^# HELP (\w+) \S/gm)].map(([, name]) => name))
  return [...exposition.matchAll(/^# TYPE (\w+) (\w+)$/gm)].flatMap(([, name = '', type]) => {
    const isCounter = type === 'counter'
    const problems = [
      [isCounter && !name.endsWith('_total'), 'a counter without the suffix _total'],
      [!isCounter && name.endsWith('_total'), 'the suffix of a counter'],
      [type === 'gauge' && /_(?:count|sum|bucket)$/.test(name), 'a suffix of histograms'],
      [
        /_(?:milliseconds|ms|minutes|hours|days|kilobytes|megabytes|kb|mb|percent)(?:_|$)/.test(name),
        'no base unit',
      ],
      [name !== name.toLowerCase(), 'capital letters'],
      [!helps.has(name), 'no help text'],
    ] as const
    return problems.filter(([is]) => is).map(([, what]) => `${name}: ${what}`)
  })
}

test('the metrics of each daemon have the names that Prometheus wants', async () => {
  const linesLost = (): number => 0
  const server = createMetrics(directoryOf(await openTestLog()), () => 0, {
    linesLost,
    freeBytes: async () => 1,
    certificateEndMs: () => 1,
    keysEnding: () => 0,
    trail: () => ({ waiting: 0, written: 0, failed: 0 }),
  })
  server.watch(new Connections(DEFAULT_HTTP_LIMITS))
  const daemons = {
    server,
    witness: createWitnessMetrics(memoryWitnessStore(), () => 0, linesLost),
    mirror: createMirrorMetrics(
      () => ({ logs: [], failures: new Map() }),
      () => 0,
      linesLost,
    ),
    monitor: createMonitorMetrics(linesLost),
  }
  for (const [daemon, metrics] of Object.entries(daemons)) {
    const text = await metrics.text()
    expect([daemon, problemsOf(text)]).toEqual([daemon, []])
    expect([daemon, text]).toEqual([daemon, expect.stringContaining('# TYPE stele_')])
  }
})
