import { resolve } from 'node:path'
import type { Command } from 'commander'
import { hasCode } from '../../errors.ts'
import type { WitnessKey } from '../../witness/keys.ts'
import type { ListedLog } from '../../witness/log-list.ts'
import { type Actions, examples } from '../action.ts'
import type { Context } from '../context.ts'
import {
  addListedLog,
  addLogOptions,
  cosignerFolder,
  dropListedLog,
  ownKeys,
  type Progress,
  servedProgress,
  showLogs,
  shownLogs,
  toldLog,
  type ToldLog,
} from '../cosigner-logs.ts'
import { mirrorInitCommand } from './cosigner-init.ts'
import { mirrorServeCommand } from './cosigner-serve.ts'

/** `stele mirror …`: keeps copies of logs, serves them, and cosigns checkpoints whose entries it has stored. */
export function mirrorCommand(program: Command, actions: Actions): void {
  const mirror = program
    .command('mirror')
    .description('keep, serve and cosign copies of other logs (c2sp.org/tlog-mirror)')
    .helpCommand(false)
    .addHelpText(
      'after',
      examples(
        ['stele mirror init --name mirror.example.org/m1', 'create ./mirror with its own keys'],
        [
          'stele mirror add-log <vkey of the log> --url https://log.example.com/logs/main',
          'follow that log from the next start or SIGHUP on',
        ],
        ['stele mirror serve', 'on http://127.0.0.1:6966'],
      ),
    )
  for (const command of [
    mirrorInitCommand,
    mirrorServeCommand,
    mirrorAddLogCommand,
    mirrorDropLogCommand,
    mirrorListCommand,
  ]) {
    command(mirror, actions)
  }
}

/** `stele mirror add-log`: adds a log to the list, and creates the folder of its copy. */
function mirrorAddLogCommand(mirror: Command, actions: Actions): void {
  const command = mirror
    .command('add-log <vkey...>')
    .description('mirror another log, or trust another key of a log; send SIGHUP to a running mirror')
  addLogOptions(command)
    .option(
      '--url <prefix>',
      'URL of its files, where the mirror follows it; without it, entries only come from add-entries requests',
    )
    .addHelpText(
      'after',
      examples(
        [
          'stele mirror add-log log.example.com/logs/main+a3b1+AZ… --url https://log.example.com/logs/main',
          'its checkpoint is at https://log.example.com/logs/main/checkpoint',
        ],
        ['stele mirror add-log log.example.com/logs/main+a3b1+AZ…', 'clients upload it'],
        [
          'stele mirror add-log log.example.com/logs/main+a3b1+AZ… --rotations rotations',
          'also trust the keys that this key has announced; later announcements are followed automatically',
        ],
        [
          'stele mirror add-log log.example.com/logs/main+a3b1+AZ… --url https://… --api-key-file reader.key',
          'a private log: the key stays in that file, and is sent only to that URL',
        ],
      ),
    )
    .action(actions.of(addLog))
}

/** `stele mirror drop-log`: removes a log from the list. */
function mirrorDropLogCommand(mirror: Command, actions: Actions): void {
  mirror
    .command('drop-log <origin>')
    .description('remove a log from the list; its state is kept. Send SIGHUP to a running mirror')
    .addHelpText('after', examples(['stele mirror drop-log log.example.com/logs/main', 'its origin']))
    .action(
      actions.of((context: Context, _options: object, origin: string) =>
        dropListedLog(context, 'mirror', origin),
      ),
    )
}

/** `stele mirror list`: the logs, and the sizes of their copies. */
function mirrorListCommand(mirror: Command, actions: Actions): void {
  mirror
    .command('list')
    .description('list the logs that this mirror has copies of, and their sizes')
    .addHelpText(
      'after',
      examples([
        'stele mirror list --json',
        'an array of origins, keys, URLs, sizes, and numbers of evidence files',
      ]),
    )
    .action(actions.of(list))
}

async function addLog(context: Context, told: ToldLog, vkeys: string[]): Promise<void> {
  const { origin, keys } = await toldLog(context, told, vkeys)
  const { checkHasBundles } = await import('../../client/verified-entries.ts')
  checkHasBundles({ origin, verifiers: keys })
  const [{ makeCopy }, { logPrefix }] = await Promise.all([
    import('../../mirror/config.ts'),
    import('../../client/http-files.ts'),
  ])
  // Not from the environment: STELE_URL names the log of other commands.
  const url = context.flagUrl === undefined ? undefined : logPrefix(context.flagUrl)
  const apiKeyFile = await checkedKeyFile(context)
  const data = cosignerFolder(context, 'mirror')
  // The copy is created first: a list that names a log without a copy would keep the mirror from starting.
  const makeRoom = (): Promise<void> => makeCopy(data, origin)
  const log = await addListedLog(
    context,
    { kind: 'mirror', data, log: { origin, keys, url, apiKeyFile } },
    makeRoom,
  )
  const how = log.url === undefined ? 'takes entries of' : 'follows'
  context.terminal.note(
    `${data} ${how} ${origin} from the next start or SIGHUP on, and serves it at /${log.originHash}/.`,
  )
}

/** The mirror reads this file at each start, so it must be a file, and must stay in its place. */
async function checkedKeyFile({ apiKeyFile }: Context): Promise<string | undefined> {
  if (apiKeyFile === undefined) return undefined
  const { readApiKeyFile } = await import('../../access/api-key-file.ts')
  await readApiKeyFile(apiKeyFile)
  return resolve(apiKeyFile)
}

async function list(context: Context): Promise<void> {
  const [{ readCosignerInfo, readCosignerKeys }, { readMirroredLogs }] = await Promise.all([
    import('../../witness/cosigner-folder.ts'),
    import('../../mirror/keys.ts'),
  ])
  const data = cosignerFolder(context, 'mirror')
  const info = await readCosignerInfo('mirror', data)
  const keys = await readCosignerKeys(data, info)
  const listed = await readMirroredLogs(data, ownKeys(info))
  const logs = await shownLogs(data, listed, (log) => progressOf(data, log, keys))
  await showLogs(context, 'mirror', logs)
  if (logs.some(({ treeSize }) => treeSize === undefined)) {
    context.terminal.note('A mirror runs on this folder, but does not respond. Its metrics show the sizes.')
  }
}

/** The size of a copy. While a mirror has it open, the served size; undefined if the mirror does not respond. */
async function progressOf(
  data: string,
  { origin, keys: logKeys }: ListedLog,
  keys: readonly WitnessKey[],
): Promise<Progress | undefined> {
  const [{ copyPaths }, { openMirrorState }] = await Promise.all([
    import('../../mirror/config.ts'),
    import('../../mirror/open.ts'),
  ])
  try {
    const parts = { log: { origin, keys: logKeys }, keys, nowMs: Date.now, cacheBytes: 0 }
    const log = await openMirrorState(copyPaths(data, origin), parts)
    const { pending, nextEntry } = log
    const { mirrored } = log.state
    await log.close()
    return {
      treeSize: mirrored?.checkpoint.size ?? 0,
      pendingSize: pending?.checkpoint.size ?? 0,
      nextEntry,
      ...(mirrored ? { cosignedAtSeconds: mirrored.timestampSeconds } : {}),
    }
  } catch (error) {
    if (hasCode(error, 'locked'))
      return servedProgress(
        data,
        keys.map(({ verifier }) => verifier),
        { origin },
      )
    throw error
  }
}
