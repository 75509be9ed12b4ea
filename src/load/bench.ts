import { equalBytes } from '../bytes/bytes.ts'
import { toHex } from '../bytes/hex.ts'
import { type LogClient, openLogClient, type VerifierKey } from '../client/index.ts'
import { SteleError } from '../errors.ts'
import { leafHash } from '../merkle/hash.ts'
import { EntrySource } from './entries.ts'
import { Load, type Meter, Sample } from './load.ts'
import { IntegrationProbe } from './probe.ts'
import { ProofReader, type ReadLeaf } from './readers.ts'
import { parseTarget, type Target } from './target.ts'
import { type Acknowledged, Writers } from './writers.ts'

/** A load and how long it runs. */
export interface BenchOptions {
  readonly url: string
  readonly verifierKey: VerifierKey | readonly VerifierKey[]
  /** Credentials for the server, if it requires any. */
  readonly apiKey?: string | undefined
  /** Number of connections that append; 0 for none. */
  readonly writers: number
  /** Number of connections that request and verify proofs; 0 for none. */
  readonly readers: number
  /** Number of entries in one request. */
  readonly batch: number
  readonly entryBytes: number
  /** Whether readers request proofs by index or by leaf hash. */
  readonly readBy: 'index' | 'hash'
  /** Append requests per second of all writers together. Unlimited if left out. */
  readonly ratePerSecond?: number | undefined
  readonly warmupMs: number
  readonly durationMs: number
  /** Called ten times a second. */
  readonly onTick?: ((state: BenchState) => void) | undefined
}

/** The progress of a benchmark. */
export interface BenchState {
  readonly seconds: number
  /** Entries acknowledged since the measurement began. */
  readonly entries: number
  readonly writes: Meter
  readonly reads: Meter
}

const SAMPLE = 256
const TICK_MS = 100
/** Number of leaf hashes to choose from when readers ask by hash. */
const LEAVES = 4096

/**
 * Puts load on a log, then verifies that what the log acknowledged is in the tree.
 *
 * @throws SteleError `usage`; as `LogClient.checkpoint`; `bad_proof` if an acknowledged entry is not in the tree
 */
export async function runBench(options: BenchOptions): Promise<BenchResult> {
  const { url, verifierKey, apiKey } = options
  const target = parseTarget(url, apiKey)
  const headers = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }
  const log = openLogClient({ url, verifierKey, headers })
  const before = (await log.checkpoint()).size
  if (options.readers > 0 && before === 0) {
    throw new SteleError(
      'usage',
      'bench: readers need entries, and the log has none; run it with --readers 0 first',
    )
  }
  const byHash = options.readers > 0 && options.readBy === 'hash'
  const run = new Run(options, target, log, byHash ? await someLeaves(log, before) : undefined)
  const figures = await run.measure()
  const after = (await log.checkpoint()).size
  checkGrowth({ before, after }, run.writers.entries)
  const { batch, entryBytes } = options
  return {
    url,
    batch,
    entryBytes,
    ...figures,
    treeSize: { before, after },
    verified: {
      receipts: await checkReceipts(log, run.writers),
      reads: await checkReads(log, run.reads.kept),
    },
  }
}

type Figures = Pick<
  BenchResult,
  'seconds' | 'entries' | 'entriesPerSecond' | 'writes' | 'reads' | 'integrated'
>

/** One run. It owns its loads. */
class Run {
  readonly writers: Writers
  readonly reads = new Sample<ReadLeaf>(SAMPLE)
  readonly #options: BenchOptions
  readonly #writeLoad: Load
  readonly #readLoad: Load
  readonly #probe: IntegrationProbe

  constructor(options: BenchOptions, target: Target, log: LogClient, leafHashes: string[] | undefined) {
    this.#options = options
    this.writers = new Writers(target, new EntrySource(options.entryBytes), new Sample<Acknowledged>(SAMPLE))
    this.#writeLoad = new Load({
      target,
      connections: options.writers,
      exchange: () => this.writers.exchange(options.batch),
      ratePerSecond: options.ratePerSecond,
    })
    const reading = { target, head: () => log.newest!, sample: this.reads, leafHashes }
    this.#readLoad = new Load({
      target,
      connections: options.readers,
      exchange: () => new ProofReader(reading),
    })
    this.#probe = new IntegrationProbe(`http://${target.authority}${target.prefix}`, this.writers.source)
  }

  async measure(): Promise<Figures> {
    const { warmupMs, durationMs, writers } = this.#options
    this.#writeLoad.start()
    this.#readLoad.start()
    await sleep(warmupMs)
    this.#writeLoad.meter.reset()
    this.#readLoad.meter.reset()
    const startedMs = performance.now()
    const entriesBefore = this.writers.entries
    const state = (): BenchState => this.#state((performance.now() - startedMs) / 1000, entriesBefore)
    if (writers > 0) this.#probe.start()
    const timer = setInterval(() => this.#options.onTick?.(state()), TICK_MS)
    await sleep(durationMs)
    clearInterval(timer)
    const figures = this.#figures(state())
    await Promise.all([this.#probe.stop(), this.#writeLoad.stop(), this.#readLoad.stop()])
    return this.#withLateFailures(figures)
  }

  #state(seconds: number, entriesBefore: number): BenchState {
    const entries = this.writers.entries - entriesBefore
    return { seconds, entries, writes: this.#writeLoad.meter, reads: this.#readLoad.meter }
  }

  #figures({ seconds, entries, writes, reads }: BenchState): Omit<Figures, 'integrated'> {
    const { writers, readers } = this.#options
    return {
      seconds,
      entries,
      entriesPerSecond: entries / seconds,
      writes: measured(writes, writers, seconds),
      reads: measured(reads, readers, seconds),
    }
  }

  /** Requests in flight at the end of the measurement are not counted, but their failures are. */
  #withLateFailures(figures: Omit<Figures, 'integrated'>): Figures {
    const { writes, reads, seconds } = figures
    return {
      ...figures,
      writes: { ...writes, failures: Object.fromEntries(this.#writeLoad.meter.failures) },
      reads: { ...reads, failures: Object.fromEntries(this.#readLoad.meter.failures) },
      integrated: measured(this.#probe.meter, this.#options.writers > 0 ? 1 : 0, seconds),
    }
  }
}

/** Leaf hashes from tiles at random places of the verified tree. */
async function someLeaves(log: LogClient, size: number): Promise<string[]> {
  const leaves: string[] = []
  const tiles = Math.min(LEAVES / 256, Math.ceil(size / 256))
  for (let i = 0; i < tiles; i++) {
    const begin = Math.floor(Math.random() * Math.ceil(size / 256)) * 256
    for await (const { leafHash: hash } of log.entries(begin, Math.min(begin + 256, size)))
      leaves.push(toHex(hash))
  }
  return leaves
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/**
 * Checks that the tree grew by at least the number of new entries that the log acknowledged.
 *
 * @throws SteleError `bad_proof`
 */
function checkGrowth({ before, after }: { before: number; after: number }, acknowledged: number): void {
  if (after - before >= acknowledged) return
  throw new SteleError(
    'bad_proof',
    `bench: ${acknowledged} new entries were acknowledged, but the tree only grew from ${before} to ${after}`,
  )
}

/**
 * Checks that every acknowledged entry of the sample is in the signed tree, with the bytes that were sent.
 *
 * @returns how many entries were checked
 * @throws SteleError `bad_proof`; as `LogClient.prove`
 */
async function checkReceipts(log: LogClient, { source, sample }: Writers): Promise<number> {
  for (const { number, index } of sample.kept) {
    await checkLeaf(log, index, leafHash(source.entry(number)), 'acknowledged')
  }
  return sample.kept.length
}

/** The same check for leaves that the log reported to readers. */
async function checkReads(log: LogClient, leaves: readonly ReadLeaf[]): Promise<number> {
  for (const { index, leafHash: hash } of leaves) await checkLeaf(log, index, hash, 'read')
  return leaves.length
}

async function checkLeaf(log: LogClient, index: number, expected: Uint8Array, what: string): Promise<void> {
  const found = await log.prove(index)
  if (equalBytes(found.leafHash, expected)) return
  throw new SteleError(
    'bad_proof',
    `bench: leaf hash ${toHex(expected)} was ${what} at index ${index}, the tree has ${toHex(found.leafHash)} there`,
  )
}

/** Times in milliseconds. */
export interface Latency {
  readonly p50: number
  readonly p99: number
  readonly p999: number
  readonly max: number
  readonly mean: number
}

/** The results of one kind of request. */
export interface Measured {
  readonly connections: number
  /** Number of correct responses. */
  readonly requests: number
  readonly requestsPerSecond: number
  readonly latencyMs: Latency
  /** Number of 429 and 503 responses. */
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
  /** Time from sending a single entry to a published checkpoint that covers it, measured during the load. */
  readonly integrated: Measured
  readonly treeSize: { readonly before: number; readonly after: number }
  /** Number of randomly chosen acknowledged entries and read leaves that were then checked in the verified tree. */
  readonly verified: { readonly receipts: number; readonly reads: number }
}

/** The figures of a meter over a run of this many seconds. */
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
