import { equalBytes } from '../../bytes/bytes.ts'
import { toHex } from '../../bytes/hex.ts'
import { openLogClient, type LogClient, type VerifierKey } from '../../client/index.ts'
import { SteleError } from '../../errors.ts'
import { leafHash } from '../../merkle/hash.ts'
import { EntrySource } from './entries.ts'
import { Load } from './load.ts'
import type { Meter } from './meter.ts'
import { IntegrationProbe } from './probe.ts'
import { ProofReader, type ReadLeaf } from './readers.ts'
import { Sample } from './sample.ts'
import { parseTarget, type Target } from './target.ts'
import { Writers, type Acknowledged } from './writers.ts'

/** A load and its length. */
export interface BenchOptions {
  readonly url: string
  readonly verifierKey: VerifierKey
  /** Connections that append; 0 for none. */
  readonly writers: number
  /** Connections that ask for proofs and verify them; 0 for none. */
  readonly readers: number
  /** Entries of one request. */
  readonly batch: number
  readonly entryBytes: number
  /** What readers ask by. */
  readonly readBy: 'index' | 'hash'
  /** Append requests a second of all writers together; as many as go if left out. */
  readonly ratePerSecond?: number | undefined
  readonly warmupMs: number
  readonly durationMs: number
  /** Told ten times a second. */
  readonly onTick?: ((state: BenchState) => void) | undefined
}

/** How far a bench is. */
export interface BenchState {
  readonly seconds: number
  readonly entriesPerSecond: number
  readonly proofsPerSecond: number
  readonly writes: Meter
  readonly reads: Meter
}

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

const SAMPLE = 256
const TICK_MS = 100
/** Leaf hashes to ask by. */
const LEAVES = 4096

/**
 * Loads a log, and verifies afterwards that what it said was true.
 *
 * @throws SteleError `usage`; as `LogClient.checkpoint`; `bad_proof` if an acknowledged entry is not in the tree
 */
export async function runBench(options: BenchOptions): Promise<BenchResult> {
  const target = parseTarget(options.url)
  const log = openLogClient({ url: options.url, verifierKey: options.verifierKey })
  const before = (await log.checkpoint()).size
  const run = await Run.prepare(options, target, log)
  const seconds = await run.run()
  const after = (await log.checkpoint()).size
  return run.result(seconds, { before, after })
}

/** One run. Owner of its loads. */
class Run {
  readonly #options: BenchOptions
  readonly #log: LogClient
  readonly #writers: Writers
  readonly #reads = new Sample<ReadLeaf>(SAMPLE)
  readonly #writeLoad: Load
  readonly #readLoad: Load
  readonly #probe: IntegrationProbe
  /** Entries that were acknowledged before measuring began. */
  #warmupEntries = 0

  static async prepare(options: BenchOptions, target: Target, log: LogClient): Promise<Run> {
    const size = log.newest!.size
    if (options.readers > 0 && size === 0) {
      throw new SteleError('usage', 'bench: readers need entries, and the log has none; run it with --readers 0 first')
    }
    const byHash = options.readers > 0 && options.readBy === 'hash'
    return new Run(options, target, log, byHash ? await someLeaves(log, size) : undefined)
  }

  private constructor(options: BenchOptions, target: Target, log: LogClient, leafHashes: string[] | undefined) {
    this.#options = options
    this.#log = log
    this.#writers = new Writers(target, new EntrySource(options.entryBytes), new Sample<Acknowledged>(SAMPLE))
    this.#writeLoad = new Load({
      target,
      connections: options.writers,
      exchange: () => this.#writers.exchange(options.batch),
      ratePerSecond: options.ratePerSecond,
    })
    const reading = { target, head: () => log.newest!, sample: this.#reads, leafHashes }
    this.#readLoad = new Load({ target, connections: options.readers, exchange: () => new ProofReader(reading) })
    this.#probe = new IntegrationProbe(`http://${target.authority}${target.prefix}`, this.#writers.source)
  }

  /** @returns how many seconds were measured */
  async run(): Promise<number> {
    const { warmupMs, durationMs, writers } = this.#options
    this.#writeLoad.start()
    this.#readLoad.start()
    await sleep(warmupMs)
    this.#writeLoad.meter.reset()
    this.#readLoad.meter.reset()
    this.#warmupEntries = this.#writers.entries
    const startedMs = performance.now()
    if (writers > 0) this.#probe.start()
    const timer = setInterval(() => this.#tick((performance.now() - startedMs) / 1000), TICK_MS)
    await sleep(durationMs)
    const seconds = (performance.now() - startedMs) / 1000
    clearInterval(timer)
    this.#measuredEntries = this.#writers.entries - this.#warmupEntries
    this.#measured = {
      writes: measured(this.#writeLoad.meter, this.#options.writers, seconds),
      reads: measured(this.#readLoad.meter, this.#options.readers, seconds),
    }
    await Promise.all([this.#probe.stop(), this.#writeLoad.stop(), this.#readLoad.stop()])
    return seconds
  }

  async result(seconds: number, treeSize: { before: number; after: number }): Promise<BenchResult> {
    const { url, batch, entryBytes } = this.#options
    const entries = this.#measuredEntries
    checkGrowth(treeSize, this.#writers.entries)
    return {
      url,
      seconds,
      batch,
      entryBytes,
      entries,
      entriesPerSecond: entries / seconds,
      ...this.#measured!,
      // Requests that were under way at the end may have failed after it.
      ...this.#lateFailures(),
      integrated: measured(this.#probe.meter, this.#options.writers > 0 ? 1 : 0, seconds),
      treeSize,
      verified: { receipts: await this.#verifyReceipts(), reads: await this.#verifyReads() },
    }
  }

  #measuredEntries = 0
  #measured: { writes: Measured; reads: Measured } | undefined

  #lateFailures(): { writes: Measured; reads: Measured } {
    const { writes, reads } = this.#measured!
    return {
      writes: { ...writes, failures: failuresOf(this.#writeLoad.meter) },
      reads: { ...reads, failures: failuresOf(this.#readLoad.meter) },
    }
  }

  #tick(seconds: number): void {
    this.#options.onTick?.({
      seconds,
      entriesPerSecond: (this.#writers.entries - this.#warmupEntries) / seconds,
      proofsPerSecond: this.#readLoad.meter.answered / seconds,
      writes: this.#writeLoad.meter,
      reads: this.#readLoad.meter,
    })
  }

  /** Every one of the sample must be in the signed tree, with the bytes that were sent. */
  async #verifyReceipts(): Promise<number> {
    const { source, sample } = this.#writers
    for (const { number, index } of sample.kept) {
      await this.#checkLeaf(index, leafHash(source.entry(number)), 'acknowledged')
    }
    return sample.kept.length
  }

  async #verifyReads(): Promise<number> {
    for (const { index, leafHash: hash } of this.#reads.kept) await this.#checkLeaf(index, hash, 'read')
    return this.#reads.kept.length
  }

  async #checkLeaf(index: number, expected: Uint8Array, what: string): Promise<void> {
    const found = await this.#log.prove(index)
    if (equalBytes(found.leafHash, expected)) return
    throw new SteleError(
      'bad_proof',
      `bench: leaf hash ${toHex(expected)} was ${what} at index ${index}, the tree has ${toHex(found.leafHash)} there`,
    )
  }
}

/** Leaf hashes of tiles at random places, out of the verified tree. */
async function someLeaves(log: LogClient, size: number): Promise<string[]> {
  const leaves: string[] = []
  const tiles = Math.min(LEAVES / 256, Math.ceil(size / 256))
  for (let i = 0; i < tiles; i++) {
    const begin = Math.floor(Math.random() * Math.ceil(size / 256)) * 256
    for await (const { leafHash: hash } of log.entries(begin, Math.min(begin + 256, size))) leaves.push(toHex(hash))
  }
  return leaves
}

function checkGrowth({ before, after }: { before: number; after: number }, acknowledged: number): void {
  if (after - before >= acknowledged) return
  throw new SteleError(
    'bad_proof',
    `bench: ${acknowledged} new entries were acknowledged, but the tree grew from ${before} to ${after} only`,
  )
}

function measured(meter: Meter, connections: number, seconds: number): Measured {
  const { latency, answered, refused } = meter
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
    failures: failuresOf(meter),
  }
}

function failuresOf({ failures }: Meter): Readonly<Record<string, number>> {
  return Object.fromEntries(failures)
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
