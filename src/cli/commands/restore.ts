import { existsSync } from 'node:fs'
import type { Command } from 'commander'
import { SteleError } from '../../errors.ts'
import { type Actions, examples } from '../action.ts'
import type { Context } from '../context.ts'
import { COPIES_HELP } from '../files/secret-file.ts'
import type { RestoreOptions } from '../restore/restore.ts'

interface RestoreCommandOptions extends RestoreOptions {
  readonly from: string
  readonly all?: boolean
}

/** `stele restore`: restores a log from a backup. */
export function restoreCommand(program: Command, actions: Actions): void {
  const several = (value: string, before: string[] = []): string[] => [...before, value]
  const command = program
    .command('restore [log]')
    .description('restore a log from a backup, unless a newer head of the log is known')
    .requiredOption('--from <place>', "a backup's folder or tar file, or the URL of any tlog-tiles copy")
    .option('--all', 'every log that "backup --all" saved, and access.json if the data folder has none')
    .option('--head-file <file>', 'a head file that survived (repeatable)', several)
    .option('--seen <file>', 'a checkpoint of the log that any party kept (repeatable)', several)
    .option('--mirror <url>', 'a copy whose checkpoint is compared (repeatable)', several)
    .option('--catch-up <url>', 'a copy that has the entries after the backup')
    .option('--policy <file>', "whose witnesses are asked (default: the backup's)")
    .option('--no-policy', 'the log has no witnesses')
    .option(
      '--without-witness <name>',
      'continue without this witness, which does not respond (repeatable)',
      several,
    )
    .option('--frozen [successor]', 'the log was frozen, if its source does not say so')
    .option('--not-frozen', 'the log was not frozen, if its source does not say')
    .option('--head-folder <folder>', 'where to keep the second copy of the last signed head')
  identityOptions(command, several)
  command
    .addHelpText(
      'after',
      `
Every entry and tile is hashed and checked against the signed checkpoint. The log is built in a
temporary folder and then renamed; an existing log is never overwritten. A log that continues from an older state than
others have seen is a fork. So head files, kept checkpoints, all witnesses of the policy and the mirrors that you name
are compared first.
${examples(
  ['stele restore main --from /backup/main --seen auditor.checkpoint', 'from a backup made --with-keys'],
  [
    'stele restore main --from /backup/main --catch-up https://mirror.example/log',
    'with the newer entries of a mirror',
  ],
  ['stele restore --all --from /backup', 'a whole instance'],
)}
${COPIES_HELP.trim()}
Exit codes: 17 a newer head of the log is known: use --catch-up; 16 another history of the log is known; 20 a witness
or mirror does not respond; 36 the backup is damaged; 3 the log exists.
`,
    )
    .action(actions.of(restoreCommandOf))
}

function identityOptions(command: Command, several: (value: string, before?: string[]) => string[]): void {
  command
    .option('--skey <file>', 'private key of the checkpoints, if not in the backup (repeatable)', several)
    .option('--tree-head-key <file>', 'private key of the RFC 6962 tree heads, likewise')
    .option('--log-json <file>', "the log's log.json, if it is newer than the backup's or the copy has none")
    .option('--origin <text>', "without a log.json: the log's origin (default: the name of the key)")
    .option(
      '--reads <who>',
      'without a log.json: who reads entries: public, private, meta (default: private)',
    )
    .option('--allow-duplicates', 'log the same bytes again each time they are sent')
}

async function restoreCommandOf(
  context: Context,
  { all = false, ...options }: RestoreCommandOptions,
  name?: string,
): Promise<void> {
  if ((name === undefined) === !all) {
    throw new SteleError('usage', 'restore: expected the name of a log, or --all')
  }
  if (name === undefined) return restoreAll(context, options)
  const { restoreOne } = await import('../restore/one.ts')
  await restoreOne(context, options.from, options, name)
}

/** The only option about a log that can apply to all logs. */
const FOR_ALL = new Set(['from', 'headFolder'])

async function restoreAll(context: Context, options: RestoreCommandOptions): Promise<void> {
  const { data, terminal } = context
  const single = Object.keys(options).find((option) => !FOR_ALL.has(option))
  if (single !== undefined) {
    throw new SteleError('usage', `restore --all: ${single} applies to one log; restore that log by its name`)
  }
  const [{ logFiles }, { restoreOne }, { restoreAccess, savedLogs }] = await Promise.all([
    import('../../instance/data-folder.ts'),
    import('../restore/one.ts'),
    import('../restore/instance.ts'),
  ])
  for (const [i, name] of (await savedLogs(options.from)).entries()) {
    // The next run after an interruption continues here.
    if (existsSync(logFiles(data, name).folder)) terminal.warn(`${name}: it exists, and is not changed`)
    else await restoreOne(context, `${options.from}/${name}`, options, name)
    if (i === 0 && (await restoreAccess(options.from, data))) {
      terminal.warn('access.json is as old as the backup: keys that were revoked since then are valid again')
    }
  }
}
