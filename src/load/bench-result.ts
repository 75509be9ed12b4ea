import type { Meter } from './meter.ts'

/** Times in milliseconds. */
export interface Latency {
  readonly p50: number
  readonly p99: number
  readonly p999: number
  readonly max: number
  readonly mean: number
}

/** What came of one kind of request. */
export interface Measured {
  readonly connections: number
  /** Answers that were as they should be. */
  readonly requests: number
  readonly requestsPerSecond: number
  readonly latencyMs: Latency
  /** 429 and 503. */
  readonly refused: number
  readonly failures: Readonly<Record<string, number>>
}

/** The figures of a run. */
export interface BenchResult {
  readonly url: string
  readonly seconds: number
  readonly batch: number
  readonly entryBytes: number
  readonly entries: number
  readonly entriesPerSecond: number
  readonly writes: Measured
  readonly reads: Measured
  /** From sending a lone entry to a published checkpoint that covers it, beside the load. */
  readonly integrated: Measured
  readonly treeSize: { readonly before: number; readonly after: number }
  /** Acknowledged entries and read leaves, chosen at random, that were looked up in the verified tree afterwards. */
  readonly verified: { readonly receipts: number; readonly reads: number }
}

/** The figures of a meter, for a run of so many seconds. */
export function measured(meter: Meter, connections: number, seconds: number): Measured {
  const { latency, answered, refused, failures } = meter
  return {
    connections,
    requests: answered,
    requestsPerSecond: answered / seconds,
    latencyMs: {
      p50: latency.quantileMs(0.5),
      p99: latency.quantileMs(0.99),
      p999: latency.quantileMs(0.999),
      max: latency.maxMs,
      mean: latency.meanMs,
    },
    refused,
    failures: Object.fromEntries(failures),
  }
}
