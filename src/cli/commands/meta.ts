import type { Command } from 'commander'
import { SteleError } from '../../errors.ts'
import { type Actions, examples } from '../action.ts'
import { serverOfLog, type Context } from '../context.ts'
import { describeLine, linesOf, type LineFilter, type MetaLogLine } from '../meta/lines.ts'
import { parseCount } from '../range.ts'

interface MetaOptions extends LineFilter {
  readonly server?: string
  readonly last: string
  readonly all?: boolean
}

/** `stele meta`: who did what. */
export function metaCommand(program: Command, actions: Actions): void {
  program
    .command('meta')
    .description('who did what: the lines of the meta log, each verified against its signed tree head')
    .option(
      '--server <url>',
      "ask a running server, with an auditor's key in STELE_API_KEY; else the data folder (--url of a log: its server)",
    )
    .option('--last <lines>', 'only the newest lines', '100')
    .option('--all', 'all lines since the beginning')
    .option('--kind <kind>', 'request, denied, admin, start, stop, configuration, hashes, sizes or event')
    .option('--who <id>', 'what one key or person did')
    .option('--log <name>', 'what concerns one log')
    .option('--since <time>', 'from a moment on, such as 2026-01-31T12:00:00Z')
    .addHelpText(
      'after',
      examples(
        ['stele meta --kind admin --all', 'every change to keys and logs'],
        [
          'stele meta --server https://log.example.com --key <vkey> --json',
          "with an auditor's key, a JSON line each",
        ],
      ),
    )
    .action(actions.of(meta))
}

async function meta(context: Context, options: MetaOptions): Promise<void> {
  const { terminal } = context
  const last = options.all ? Infinity : parseCount(options.last, '--last', 10_000_000)
  const filter = { ...options, since: options.since === undefined ? undefined : momentOf(options.since) }
  const { servedPages, storedPages } = await import('../meta/pages.ts')
  // The meta log is one for the whole server: a log of it that was named leads there.
  const server = options.server ?? (context.flagUrl === undefined ? undefined : serverOfLog(context.flagUrl))
  const pages = server === undefined ? await storedPages(context.data) : await servedPages(context, server)
  try {
    // Every page has a line at least; with a filter nobody knows in which pages the wanted ones are.
    const isFiltered = [options.kind, options.who, options.log, options.since].some(
      (one) => one !== undefined,
    )
    const begin = isFiltered ? 0 : Math.max(0, pages.size - last)
    const lines = linesOf(pages.read(begin), filter)
    for await (const line of options.all ? lines : await lastOf(lines, last)) {
      await terminal.result(line, describeLine(line))
    }
  } finally {
    await pages.close()
  }
}

/** The newest lines, in order, with no more than twice as many in memory. */
async function lastOf(lines: AsyncIterable<MetaLogLine>, count: number): Promise<MetaLogLine[]> {
  const kept: MetaLogLine[] = []
  for await (const line of lines) {
    kept.push(line)
    if (kept.length >= 2 * count) kept.splice(0, kept.length - count)
  }
  return kept.slice(-count)
}

function momentOf(text: string): string {
  const atMs = Date.parse(text)
  if (Number.isNaN(atMs))
    throw new SteleError('usage', `--since: expected a time such as 2026-01-31, got "${text}"`)
  return new Date(atMs).toISOString()
}
