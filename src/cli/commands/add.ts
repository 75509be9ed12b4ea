import { join } from 'node:path'
import type { Command } from 'commander'
import { parseSize } from '../../bytes/decimal.ts'
import { toHex } from '../../bytes/hex.ts'
import type { LogClient } from '../../client/index.ts'
import { hasCode, SteleError } from '../../errors.ts'
import { leafHash } from '../../merkle/hash.ts'
import type { Actions } from '../action.ts'
import { inBatches } from '../add/batches.ts'
import { findBatch } from '../add/settle.ts'
import { linesOf, wholeFiles, type Submission } from '../add/submissions.ts'
import type { Context } from '../context.ts'
import { DurableFiles } from '../files/durable.ts'
import { STDIN } from '../files/input.ts'
import { examples } from '../help.ts'
import { counted, formatSeconds } from '../output/units.ts'
import { asUsage, parseCount } from '../range.ts'

interface AddOptions {
  readonly lines?: boolean
  readonly skipEmpty?: boolean
  readonly batch: string
  readonly skip: string
  readonly retryFor: string
  readonly proofDir?: string
}

/** `stele add`: appends entries. */
export function addCommand(program: Command, actions: Actions): void {
  program
    .command('add [files...]')
    .description('append files, or lines of them, or standard input; prints the index of each entry')
    .option('--lines', 'every line is an entry, without its line feed')
    .option('--skip-empty', 'with --lines: leave empty lines out instead of stopping at the first one')
    .option('--batch <entries>', 'entries of one request, which is logged whole or not at all', '1000')
    .option('--skip <entries>', 'leave the first entries out: to go on where an interrupted run ended', '0')
    .option('--retry-for <seconds>', 'how long to go on while the log cannot be reached', '300')
    .option('--proof-dir <folder>', 'write a proof file <index>.tlog-proof for every entry')
    .addHelpText(
      'after',
      `
An index is printed once its entry is on the log's disk, covered by a signed tree head, and seen in the log's own
tree. A broken connection is mended by sending again: a log recognises what it has. A log that allows duplicates does
not, so what became of the batch is looked up there first.
${examples(
  ['stele add report.pdf.sha256', 'one file, one entry'],
  ['stele add --lines auth.log --json', 'every line; one receipt a line on standard output'],
  ['journalctl -o json | stele add --lines --skip-empty', 'from standard input'],
)}`,
    )
    .action(actions.of(add))
}

async function add(context: Context, options: AddOptions, files: string[] = []): Promise<void> {
  const { io, terminal } = context
  const perBatch = parseCount(options.batch, '--batch', 1_000_000)
  const deadlineMs = parseCount(options.retryFor, '--retry-for', 86_400) * 1000
  const skip = asUsage(() => parseSize(options.skip, '--skip'))
  const sources = files.length > 0 ? files : [STDIN]
  const all = options.lines ? linesOf(sources, io, options.skipEmpty === true) : wholeFiles(sources, io)
  const log = await context.openLog({ deadlineMs })
  // Before anything is sent: the right log, with the right key.
  await log.checkpoint()
  const adder = new Adder(context, log, skip, options.proofDir)
  const startedMs = performance.now()
  const bar = terminal.progress('added', options.lines ? undefined : sources.length)
  try {
    for await (const batch of inBatches(without(all, skip), perBatch)) {
      await adder.add(batch)
      bar.at(adder.added)
    }
  } finally {
    bar.end()
  }
  const took = formatSeconds((performance.now() - startedMs) / 1000)
  terminal.note(`${counted(adder.added, 'entry', 'entries')} in ${log.origin}, ${adder.known} of them before, in ${took}`)
}

/** Sends batches one after the other, so that indexes have the order of the entries. Owner of the counts. */
class Adder {
  added = 0
  /** Entries that the log says it had already. */
  known = 0
  readonly #context: Context
  readonly #log: LogClient
  readonly #skipped: number
  readonly #proofDir: string | undefined
  /** Everything below this index was in the log before the next batch is sent. */
  #before: number

  constructor(context: Context, log: LogClient, skipped: number, proofDir: string | undefined) {
    this.#context = context
    this.#log = log
    this.#skipped = skipped
    this.#proofDir = proofDir
    this.#before = log.newest!.size
  }

  async add(batch: readonly Submission[]): Promise<void> {
    const { indexes, treeSize, duplicates } = await this.#send(batch)
    if (this.#proofDir !== undefined) await this.#writeProofs(this.#proofDir, indexes)
    const { terminal } = this.#context
    for (const [i, { entry, file, line }] of batch.entries()) {
      const index = indexes[i]!
      const receipt = { index, leafHash: toHex(leafHash(entry)), treeSize, duplicate: duplicates.has(i), file }
      await terminal.result(line === undefined ? receipt : { ...receipt, line }, String(index))
    }
    this.added += batch.length
    this.known += duplicates.size
    this.#before = Math.max(this.#before, treeSize)
  }

  async #send(batch: readonly Submission[]): Promise<Sent> {
    const entries = batch.map(({ entry }) => entry)
    try {
      const { indexes, checkpoint, unverifiedDuplicates } = await this.#log.appendBatch(entries)
      return { indexes, treeSize: checkpoint.size, duplicates: new Set(unverifiedDuplicates) }
    } catch (error) {
      if (!hasCode(error, 'outcome_unknown', 'unreachable')) throw this.#withProgress(error)
      return this.#settle(entries, error)
    }
  }

  /** The client has sent again what may be sent again, so this is a log that allows duplicates, or it is gone. */
  async #settle(entries: readonly Uint8Array[], doubt: SteleError): Promise<Sent> {
    const found = await this.#find(entries)
    if (!found) {
      const next = this.#skipped + this.added
      const before = this.#before
      throw new SteleError(
        doubt.code,
        `${doubt.message}\n${this.#standing()} The next ${counted(entries.length, 'entry', 'entries')} may have been ` +
          `logged. A log that recognises duplicates (the default): run the same command again. One that allows them: ` +
          `see what it has from index ${before} on ("stele get ${before}.."), then go on with --skip ${next}, or ` +
          `--skip ${next + entries.length} if they are there`,
        { cause: doubt },
      )
    }
    const { begin, treeSize } = found
    this.#context.terminal.warn(`the answer to a batch was lost; the log has it from index ${begin} on`)
    return { indexes: entries.map((_, i) => begin + i), treeSize, duplicates: new Set() }
  }

  async #find(entries: readonly Uint8Array[]): ReturnType<typeof findBatch> {
    try {
      const known = this.#log.newest?.note
      const log = await this.#context.openLog({ deadlineMs: 2000, ...(known ? { known } : {}) })
      return await findBatch(log, entries, this.#before)
    } catch (error) {
      if (hasCode(error, 'unreachable', 'overloaded', 'shutting_down', 'log_halted', 'rate_limited')) return undefined
      throw error
    }
  }

  async #writeProofs(folder: string, indexes: readonly number[]): Promise<void> {
    const files = new DurableFiles()
    for (const index of indexes) {
      await files.write(join(folder, `${index}.tlog-proof`), (await this.#log.prove(index)).proof)
    }
    await files.sync()
  }

  #withProgress(error: unknown): unknown {
    if (!(error instanceof SteleError) || this.added === 0) return error
    return new SteleError(error.code, `${error.message}\n${this.#standing()}`, { cause: error })
  }

  #standing(): string {
    return `${counted(this.added, 'entry', 'entries')} of this run ${this.added === 1 ? 'is' : 'are'} in the log.`
  }
}

interface Sent {
  readonly indexes: readonly number[]
  readonly treeSize: number
  readonly duplicates: ReadonlySet<number>
}

async function* without(all: AsyncIterable<Submission>, skip: number): AsyncGenerator<Submission, void, undefined> {
  let skipped = 0
  for await (const submission of all) if (skipped++ >= skip) yield submission
}
