import type { Command } from 'commander'
import type { RepairReport } from '../../scrub/repair.ts'
import { type Actions, examples } from '../action.ts'
import type { Context } from '../context.ts'
import { EXIT_DAMAGED, EXIT_OK } from '../exit-codes.ts'
import { COPIES_HELP } from '../files/secret-file.ts'
import { counted } from '../output/units.ts'

interface RepairCommandOptions {
  readonly from: string
  readonly dryRun?: boolean
}

/** `stele repair`: restores damaged entries and tiles of a database. */
export function repairCommand(program: Command, actions: Actions): void {
  program
    .command('repair <log>')
    .description(
      "restore damaged entries and tiles of a log's database from a copy; the server must be stopped",
    )
    .requiredOption('--from <place>', "a backup's folder or tar file, or the URL of any tlog-tiles copy")
    .option('--dry-run', 'check, and change nothing')
    .addHelpText(
      'after',
      `
Everything is compared with the signed head in the database. Only bytes with the right hashes are written, and data with
the right hashes is not changed. Damaged data that the copy does not have, because it is older, is named and left. If
LevelDB's own files are damaged, restore the log instead.
${examples(
  ['stele fsck main', 'names the first damage'],
  ['stele repair main --from /backup/main --dry-run', 'shows what would be done'],
)}
${COPIES_HELP.trim()}
Exit codes: 0 no damage is left; 1 damage is left; any other: not checked.
`,
    )
    .action(actions.of(repair))
}

async function repair(context: Context, options: RepairCommandOptions, name: string): Promise<number> {
  const { terminal } = context
  const { repairStored } = await import('../restore/repair-stored.ts')
  const { withTrace } = await import('../../server/offline.ts')
  const { dryRun = false, from } = options
  const headers = await context.headersForCopies([from])
  const work = (): Promise<RepairReport> => repairStored(terminal, context.data, name, from, dryRun, headers)
  const { result: report, untraced } = dryRun
    ? { result: await work(), untraced: undefined }
    : await withTrace(context.data, { act: 'repair', log: name }, work, (done) => ({ from, ...done }))
  await terminal.result({ log: name, from, dryRun, ...report }, textOf(name, report, dryRun))
  if (untraced) terminal.warn(`${name}: this is not recorded in the meta log: ${untraced.message}`)
  const { repaired, lost } = report
  const left = lost.entries + lost.tiles + (dryRun ? repaired.entries + repaired.tiles : 0)
  return left > 0 ? EXIT_DAMAGED : EXIT_OK
}

function textOf(
  name: string,
  { checked, repaired, lost, examples: damaged }: RepairReport,
  dryRun: boolean,
): string {
  const both = ({ entries, tiles }: { entries: number; tiles: number }): string =>
    `${counted(entries, 'entry', 'entries')}, ${counted(tiles, 'tile')}`
  return [
    `${name}: ${dryRun ? 'would restore' : 'restored'} ${both(repaired)}`,
    `  checked      ${both(checked)}`,
    ...(damaged.length > 0 ? [`  damaged      ${damaged.join(', ')}`] : []),
    ...(lost.entries + lost.tiles > 0
      ? [`  STILL DAMAGED  ${both(lost)}: the copy does not have the right bytes`]
      : []),
  ].join('\n')
}
