import type { Command } from 'commander'
import { SteleError } from '../../errors.ts'
import { type Actions, examples } from '../action.ts'
import type { Context } from '../context.ts'
import { EXIT_CODES, EXIT_OK } from '../exit-codes.ts'
import type { BenchResult, BenchState, Measured } from '../../load/index.ts'
import { formatCount, formatMs, formatSeconds } from '../output/units.ts'
import { asUsage, parseCount } from '../range.ts'
import { parseSize } from '../../bytes/decimal.ts'

interface BenchCommandOptions {
  readonly writers: string
  readonly readers: string
  readonly batch: string
  readonly entriesBytes: string
  readonly readBy: string
  readonly rate?: string
  readonly warmup: string
  readonly duration: string
}

/** `stele bench`: puts load on a log and reports its performance. */
export function benchCommand(program: Command, actions: Actions): void {
  program
    .command('bench')
    .description(
      'measure a log under load, with writers and verifying readers; the entries stay in the log for ever',
    )
    .option('--writers <connections>', 'connections that append', '64')
    .option('--readers <connections>', 'connections that request and verify inclusion proofs', '0')
    .option('--batch <entries>', 'number of entries in one request', '1')
    .option('--entries-bytes <bytes>', 'length of an entry', '300')
    .option('--read-by <index|hash>', 'how readers name an entry', 'index')
    .option('--rate <requests>', 'append requests per second of all writers together (default: unlimited)')
    .option('--warmup <seconds>', 'not measured', '1')
    .option('--duration <seconds>', 'measured', '10')
    .addHelpText(
      'after',
      `
Do not run it against a production log: its entries cannot be removed. At the end a sample of the receipts is verified
against the log's signed tree.
${examples(
  ['stele bench --url http://127.0.0.1:6962/logs/main --writers 256', 'one entry per request'],
  [
    'stele bench --writers 8 --batch 1000 --readers 16 --duration 60',
    'batches, with proofs at the same time',
  ],
  ['stele bench --rate 100 --json', 'latency of single entries at 100 per second'],
)}`,
    )
    .action(actions.of(bench))
}

async function bench(context: Context, options: BenchCommandOptions): Promise<number> {
  const { terminal } = context
  const sizes = parseOptions(options)
  const { runBench } = await import('../../load/index.ts')
  const verifierKey = await context.following(await context.keyFor(context.url))
  const bar = terminal.progress('bench')
  const onTick = (state: BenchState): void => bar.draw(() => describeState(state, sizes.durationMs))
  const apiKey = await context.apiKey()
  const result = await runBench({ url: context.url, verifierKey, apiKey, ...sizes, onTick }).finally(() =>
    bar.end(),
  )
  if (terminal.json) await terminal.jsonLine(result)
  else for (const line of describe(result)) await terminal.line(line)
  const failed = [result.writes, result.reads, result.integrated].some(
    ({ failures }) => Object.keys(failures).length > 0,
  )
  return failed ? EXIT_CODES.unexpected_answer : EXIT_OK
}

function parseOptions(options: BenchCommandOptions) {
  const writers = asUsage(() => parseSize(options.writers, '--writers'))
  const readers = asUsage(() => parseSize(options.readers, '--readers'))
  if (writers + readers === 0) throw new SteleError('usage', 'bench: expected at least one writer or reader')
  if (options.readBy !== 'index' && options.readBy !== 'hash') {
    throw new SteleError('usage', `--read-by: expected index or hash, got "${options.readBy}"`)
  }
  return {
    writers,
    readers,
    readBy: options.readBy,
    batch: parseCount(options.batch, '--batch', 100_000),
    entryBytes: parseCount(options.entriesBytes, '--entries-bytes', 65_535),
    ratePerSecond: options.rate === undefined ? undefined : parseCount(options.rate, '--rate', 1_000_000),
    warmupMs: asUsage(() => parseSize(options.warmup, '--warmup')) * 1000,
    durationMs: parseCount(options.duration, '--duration', 86_400) * 1000,
  } as const
}

function describeState(state: BenchState, durationMs: number): string {
  const { seconds, entries, writes, reads } = state
  const parts = [`${formatSeconds(seconds)} of ${formatSeconds(durationMs / 1000)}`]
  const p99 = (meter: typeof writes): string => `p99 ${formatMs(meter.latency.quantileMs(0.99))}`
  if (writes.answered > 0)
    parts.push(`${formatCount(Math.round(entries / seconds))} entries/s  ${p99(writes)}`)
  if (reads.answered > 0)
    parts.push(`${formatCount(Math.round(reads.answered / seconds))} proofs/s  ${p99(reads)}`)
  const failed = writes.failed + reads.failed
  if (failed > 0) parts.push(`${formatCount(failed)} failed`)
  return parts.join('  |  ')
}

function describe(result: BenchResult): string[] {
  const { url, seconds, writes, reads, integrated, treeSize, verified } = result
  const lines = [
    `${url}: ${formatSeconds(seconds)}, tree size ${formatCount(treeSize.before)} to ${formatCount(treeSize.after)}`,
  ]
  if (writes.connections > 0) {
    const rate = formatCount(Math.round(result.entriesPerSecond))
    lines.push(`append       ${rate} entries/s of ${result.entryBytes} bytes, ${result.batch} per request`)
    lines.push(
      ...describeMeasured(writes),
      'integrated   one entry, from sending it to a checkpoint that covers it',
    )
    lines.push(...describeMeasured(integrated))
  }
  if (reads.connections > 0) lines.push('proofs       inclusion, each verified', ...describeMeasured(reads))
  lines.push(
    `verified     ${verified.receipts} receipts and ${verified.reads} read leaves against the signed tree`,
  )
  return lines
}

function describeMeasured({
  connections,
  requestsPerSecond,
  latencyMs,
  refused,
  failures,
}: Measured): string[] {
  const { p50, p99, p999, max } = latencyMs
  const times = `p50 ${formatMs(p50)}  p99 ${formatMs(p99)}  p99.9 ${formatMs(p999)}  max ${formatMs(max)}`
  const rate = `${formatCount(Math.round(requestsPerSecond))} requests/s on ${connections} connections`
  const lines = [`             ${rate}`, `             ${times}`]
  if (refused > 0) lines.push(`             ${formatCount(refused)} refused with 429 or 503`)
  for (const [reason, count] of Object.entries(failures))
    lines.push(`             FAILED ${formatCount(count)}: ${reason}`)
  return lines
}
