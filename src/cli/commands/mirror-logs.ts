import { resolve } from 'node:path'
import type { Command } from 'commander'
import { hasCode } from '../../errors.ts'
import type { ListedLog } from '../../server/log-list.ts'
import type { WitnessKey } from '../../witness/keys.ts'
import type { Actions } from '../action.ts'
import type { Context } from '../context.ts'
import {
  addLogOptions,
  cosignerFolder,
  logAsJson,
  ownKeys,
  toldLog,
  type ToldLog,
} from '../cosigner-options.ts'
import { examples } from '../help.ts'
import { formatCount } from '../output/units.ts'

/** `stele mirror add-log`: puts a log on the list, and makes room for its copy. */
export function mirrorAddLogCommand(mirror: Command, actions: Actions): void {
  const command = mirror
    .command('add-log <vkey...>')
    .description(
      'keep a copy of one more log, or trust one more key of a log; a mirror that runs must be started again',
    )
  addLogOptions(command)
    .option(
      '--url <prefix>',
      'where its files are, to follow it there; without one entries come by add-entries alone',
    )
    .addHelpText(
      'after',
      examples(
        [
          'stele mirror add-log log.example.com/logs/main+a3b1+AZ… --url https://log.example.com/logs/main',
          'its checkpoint is at https://log.example.com/logs/main/checkpoint',
        ],
        ['stele mirror add-log log.example.com/logs/main+a3b1+AZ…', 'others upload it'],
        [
          'stele mirror add-log log.example.com/logs/main+a3b1+AZ… --rotations rotations',
          'and the keys that this one has announced; those that it announces later are followed by themselves',
        ],
        [
          'stele mirror add-log log.example.com/logs/main+a3b1+AZ… --url https://… --api-key-file reader.key',
          'a private log: the key stays in that file, and is shown to that URL alone',
        ],
      ),
    )
    .action(actions.of(addLog))
}

/** `stele mirror list`: the logs, and how much of them is here. */
export function mirrorListCommand(mirror: Command, actions: Actions): void {
  mirror
    .command('list')
    .description('the logs that this mirror has copies of, and how far they are')
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
  const [{ readCosignerInfo }, { makeCopy, mirrorFiles }, { addToLogList }, { logPrefix }, { originHash }] =
    await Promise.all([
      import('../../server/cosigner-folder.ts'),
      import('../../server/mirror-folder.ts'),
      import('../../server/log-list.ts'),
      import('../../client/http-files.ts'),
      import('../../witness/logs.ts'),
    ])
  // Not from the environment: STELE_URL names the log that other commands talk to.
  const url = context.flagUrl === undefined ? undefined : logPrefix(context.flagUrl)
  const apiKeyFile = await checkedKeyFile(context)
  const data = cosignerFolder(context, 'mirror')
  const own = ownKeys(await readCosignerInfo('mirror', data))
  // The copy first: a list that names a log without one would keep the mirror from starting.
  await makeCopy(data, origin)
  const log = await addToLogList(mirrorFiles(data).logs, own, { origin, keys, url, apiKeyFile }, 'mirror')
  const { terminal } = context
  const hash = originHash(origin)
  await terminal.result({ ...logAsJson(log), url: log.url, originHash: hash }, origin)
  const how = log.url === undefined ? 'takes entries of' : 'follows'
  terminal.note(`${data} ${how} ${origin} from the next start on, and serves it at /${hash}/.`)
}

/** The mirror reads it at each start, so that it has to stay where it is, and has to be a file. */
async function checkedKeyFile({ apiKeyFile }: Context): Promise<string | undefined> {
  if (apiKeyFile === undefined) return undefined
  const { readApiKeyFile } = await import('../../server/api-key-file.ts')
  await readApiKeyFile(apiKeyFile)
  return resolve(apiKeyFile)
}

async function list(context: Context): Promise<void> {
  const [
    { readCosignerInfo, readCosignerKeys },
    { mirrorFiles },
    { readMirroredLogs },
    { listEvidence },
    { originHash },
  ] = await Promise.all([
    import('../../server/cosigner-folder.ts'),
    import('../../server/mirror-folder.ts'),
    import('../../server/mirror-keys.ts'),
    import('../../server/witness-evidence.ts'),
    import('../../witness/logs.ts'),
  ])
  const data = cosignerFolder(context, 'mirror')
  const files = mirrorFiles(data)
  const info = await readCosignerInfo('mirror', data)
  const keys = await readCosignerKeys(data, info)
  const evidence = await listEvidence(files.evidence)
  const shown: Shown[] = []
  for (const log of await readMirroredLogs(data, ownKeys(info))) {
    const hash = originHash(log.origin)
    const evidenceFiles = evidence.filter((name) => name.startsWith(hash.slice(0, 16))).length
    const sizes = await sizesOf(data, log, keys)
    shown.push({ ...logAsJson(log), url: log.url, originHash: hash, ...sizes, evidenceFiles })
  }
  await show(context, shown)
}

interface Sizes {
  /** Of the mirror checkpoint; 0 if there is none. */
  readonly treeSize: number
  readonly pendingSize: number
  readonly nextEntry: number
  readonly cosignedAtSeconds?: number
}

interface Shown extends Partial<Sizes> {
  readonly origin: string
  readonly verifierKeys: readonly string[]
  readonly url: string | undefined
  readonly originHash: string
  readonly evidenceFiles: number
}

/** How far a copy is; undefined while a mirror has it open. */
async function sizesOf(
  data: string,
  { origin, keys: logKeys }: ListedLog,
  keys: readonly WitnessKey[],
): Promise<Sizes | undefined> {
  const [{ copyPaths }, { openMirrorState }] = await Promise.all([
    import('../../server/mirror-folder.ts'),
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
    if (hasCode(error, 'locked')) return undefined
    throw error
  }
}

async function show({ terminal }: Context, logs: readonly Shown[]): Promise<void> {
  if (terminal.json) return terminal.jsonLine(logs)
  for (const { origin, treeSize, nextEntry, pendingSize, cosignedAtSeconds, evidenceFiles } of logs) {
    const size =
      treeSize === undefined
        ? 'a mirror is running'
        : `size ${formatCount(treeSize)}, stored ${formatCount(nextEntry!)}, pending ${formatCount(pendingSize!)}`
    const at = cosignedAtSeconds === undefined ? '' : `\t${new Date(cosignedAtSeconds * 1000).toISOString()}`
    await terminal.line(`${origin}\t${size}${at}${evidenceFiles > 0 ? `\tevidence: ${evidenceFiles}` : ''}`)
  }
  if (logs.some(({ treeSize }) => treeSize === undefined)) {
    terminal.note('A mirror runs on this folder: it serves its copies, and its metrics have sizes.')
  }
}
