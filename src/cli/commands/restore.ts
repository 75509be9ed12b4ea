import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { toHex } from '../../bytes/hex.ts'
import type { Actions } from '../action.ts'
import type { Context } from '../context.ts'
import { examples } from '../help.ts'
import { formatCount } from '../output/units.ts'
import type { RestoreOptions } from '../restore/restore.ts'

interface RestoreCommandOptions extends RestoreOptions {
  readonly from: string
}

/** `stele restore`: a log out of a backup. */
export function restoreCommand(program: Command, actions: Actions): void {
  const several = (value: string, before: string[] = []): string[] => [...before, value]
  program
    .command('restore <log>')
    .description(
      'make a log of the data folder out of a backup, unless anybody has seen more of it than that',
    )
    .requiredOption('--from <place>', "a backup's folder or tar file, or the URL of any tlog-tiles copy")
    .option('--skey <file>', 'private key of the checkpoints, if the backup was made without keys')
    .option('--tree-head-key <file>', 'private key of the RFC 6962 tree heads, likewise')
    .option('--head-file <file>', 'a head file that outlived the accident (repeatable)', several)
    .option('--seen <file>', 'a checkpoint of the log that somebody kept (repeatable)', several)
    .option('--mirror <url>', 'a copy whose checkpoint is compared (repeatable)', several)
    .option('--catch-up <url>', 'a copy to take the entries from that came after the backup')
    .option('--policy <file>', "whose witnesses are asked (default: the backup's)")
    .option('--no-policy', 'the log has no witnesses')
    .option('--without-witness <name>', 'go on though this witness does not answer (repeatable)', several)
    .option('--head-folder <folder>', 'where to keep the second copy of the last signed head')
    .option('--origin <text>', "the log's origin, if neither the backup nor the key says it")
    .option('--allow-duplicates', 'if no backup says it: log the same bytes again each time they are sent')
    .addHelpText(
      'after',
      `
Every entry and tile is hashed and checked against the signed checkpoint. The log is built beside its place and renamed
into it; a log that is there is never overwritten. A log that goes on from an older state than others have seen forks:
so head files, kept checkpoints, all witnesses of the policy and the mirrors that you name are compared first.
${examples(
  ['stele restore main --from /backup/main --seen auditor.checkpoint', 'from a backup made --with-keys'],
  [
    'stele restore main --from /backup/main --catch-up https://mirror.example/log',
    'and on from where it ended',
  ],
)}
Exit codes: 17 somebody has seen more: catch up; 16 somebody has seen another history; 20 a witness or mirror does not
answer; 36 the backup is damaged; 3 there is a log in the place.
`,
    )
    .action(actions.of(restoreLogCommand))
}

async function restoreLogCommand(
  context: Context,
  options: RestoreCommandOptions,
  name: string,
): Promise<void> {
  const { data, terminal } = context
  const [{ checkPlaceIsFree }, { openRestoreSource }, { restoreKeys }, { restore }] = await Promise.all([
    import('../../server/restored-log.ts'),
    import('../restore/source.ts'),
    import('../restore/keys.ts'),
    import('../restore/restore.ts'),
  ])
  checkPlaceIsFree(data, name)
  await makeDataFolder(data)
  const source = await openRestoreSource(options.from, name, data)
  try {
    const keys = await restoreKeys(source, options)
    const job = { data, name, source, keys, options, terminal }
    const { opened, compared, withoutWitnesses, info } = await restore(job)
    const { origin, size, root } = opened.checkpoint
    const result = { log: name, data, origin, treeSize: size, rootHash: toHex(root) }
    await terminal.result(
      { ...result, verifierKey: info.verifierKey, from: source.name, compared, withoutWitnesses },
      [
        `${name}: restored ${origin} at size ${formatCount(size)} from ${source.name}`,
        ...compared.map((seen) => `  compared with ${seen.source}: size ${formatCount(seen.size)}`),
        ...withoutWitnesses.map((witness) => `  NOT ASKED      witness ${witness}`),
      ].join('\n'),
    )
    if (compared.length === 0) {
      terminal.warn(
        'nobody was asked whether more of this log was seen: it has no witnesses, and no --head-file, --seen or ' +
          '--mirror was given. Compare it with a checkpoint that somebody kept before you serve it',
      )
    }
  } finally {
    await source.close()
  }
}

/** Restoring makes a data folder where there is none: a new machine has nothing yet. */
async function makeDataFolder(data: string): Promise<void> {
  const { checkDataFolder, initDataFolder } = await import('../../server/data-folder.ts')
  if (existsSync(join(data, 'stele.json'))) await checkDataFolder(data)
  else await initDataFolder(data)
}
