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

/** `stele meta`: prints the audit trail. */
export function metaCommand(program: Command, actions: Actions): void {
  program
    .command('meta')
    .description('print who did what: the lines of the meta log, each verified against its signed tree head')
    .option(
      '--server <url>',
      "use a running server, with an auditor's key in STELE_API_KEY (default: the server of --url, or the data folder)",
    )
    .option('--last <lines>', 'only the newest lines', '100')
    .option('--all', 'all lines since the beginning')
    .option('--kind <kind>', 'request, denied, admin, start, stop, configuration, hashes, sizes or event')
    .option('--who <id>', 'only lines about one key or person')
    .option('--log <name>', 'only lines about one log')
    .option('--since <time>', 'only lines since a time, for example 2026-01-31T12:00:00Z')
    .addHelpText(
      'after',
      examples(
        ['stele meta --kind admin --all', 'every change to keys and logs'],
        [
          'stele meta --server https://log.example.com --key <vkey> --json',
          "with an auditor's key, as JSON lines",
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
  // There is one meta log per server, so the URL of any log leads to it.
  const server = options.server ?? (context.flagUrl === undefined ? undefined : serverOfLog(context.flagUrl))
  const pages = server === undefined ? await storedPages(context.data) : await servedPages(context, server)
  try {
    // Every page has at least one line, so the last pages suffice. With a filter all pages must be read.
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

/** The newest lines, in order. Keeps at most twice as many in memory. */
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
    throw new SteleError('usage', `--since: expected a time, for example 2026-01-31, got "${text}"`)
  return new Date(atMs).toISOString()
}
