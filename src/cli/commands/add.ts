import type { Command } from 'commander'
import { parseSize } from '../../bytes/decimal.ts'
import { type Actions, examples } from '../action.ts'
import { Adder } from '../add/adder.ts'
import { inBatches, linesOf, type Submission, wholeFiles } from '../add/submissions.ts'
import type { Context } from '../context.ts'
import { STDIN } from '../files/input.ts'
import type { Terminal } from '../output/terminal.ts'
import { counted, formatCount, formatSeconds } from '../output/units.ts'
import { asUsage, parseCount } from '../range.ts'

interface AddOptions {
  readonly lines?: boolean
  readonly skipEmpty?: boolean
  readonly batch: string
  readonly skip: string
  readonly retryFor: string
  readonly proofDir?: string
}

/**
 * With this many equal lines, and a tenth of all, they look like separate events without anything to tell them apart.
 */
const EQUAL_LINES = 10

/** If the log does not respond at the start, its URL is probably wrong. */
const FIRST_CONTACT_MS = 2000

/** `stele add`: appends entries. */
export function addCommand(program: Command, actions: Actions): void {
  program
    .command('add [files...]')
    .description('append files, or lines of them, or standard input; prints the index of each entry')
    .option('--lines', 'every line is an entry, without its line feed')
    .option('--skip-empty', 'with --lines: skip empty lines instead of stopping at the first one')
    .option(
      '--batch <entries>',
      'number of entries in one request, which is logged completely or not at all',
      '1000',
    )
    .option('--skip <entries>', 'skip this many entries, to continue an interrupted run', '0')
    .option('--retry-for <seconds>', 'how long to retry while the log cannot be reached', '300')
    .option('--proof-dir <folder>', 'write a proof file <index>.tlog-proof for every entry')
    .addHelpText(
      'after',
      `
An index is printed once its entry is on the log's disk, covered by a signed tree head, and proved to be in the log's own
tree. After a broken connection the batch is sent again: a log recognises entries that it has. A log that allows
duplicates does not, so the command first looks up whether it has the batch.

A log that recognises duplicates (the default) keeps one entry for equal bytes. Two events become two entries only if
their bytes differ: add a time or an id to each. With --json, "duplicate": true means that the log already had the
entry.
${examples(
  ['stele add report.pdf.sha256', 'one file, one entry'],
  ['stele add --lines auth.log --json', 'every line; one receipt per line on standard output'],
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
  // Checks before anything is sent that the log can be reached and has the right key.
  const { note } = await (await context.openLog({ deadlineMs: FIRST_CONTACT_MS })).checkpoint()
  const log = await context.openLog({ deadlineMs, known: note })
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
  const appended = counted(adder.added - adder.known, 'entry', 'entries')
  terminal.note(`Appended ${appended} to ${log.origin} in ${took}${knownOf(adder)}`)
  if (options.lines && adder.equal >= EQUAL_LINES && adder.equal >= adder.added / 10)
    warnOfEqual(terminal, adder.equal)
}

function knownOf({ known, firstKnown }: Adder): string {
  if (known === 0) return ''
  if (known === 1) return `; 1 was already in the log: index ${firstKnown}, not appended again`
  return `; ${formatCount(known)} were already in the log, the first at index ${firstKnown}, and were not appended again`
}

function warnOfEqual(terminal: Terminal, equal: number): void {
  terminal.warn(
    `${formatCount(equal)} lines are equal to earlier ones and were not appended again: this log keeps one entry for equal ` +
      `bytes. If each line is a separate event, add a time or an id to every line, or use a log that allows duplicates ` +
      `("stele log create <name> --allow-duplicates")`,
  )
}

async function* without(
  all: AsyncIterable<Submission>,
  skip: number,
): AsyncGenerator<Submission, void, undefined> {
  let skipped = 0
  for await (const submission of all) if (skipped++ >= skip) yield submission
}
