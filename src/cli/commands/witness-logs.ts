import type { Command } from 'commander'
import { hasCode } from '../../errors.ts'
import type { VerifierKey } from '../../note/note.ts'
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

/** `stele witness add-log`: puts a log on the list. */
export function witnessAddLogCommand(witness: Command, actions: Actions): void {
  const command = witness
    .command('add-log <vkey...>')
    .description(
      'cosign for one more log, or trust one more key of a log; a witness that runs must be started again',
    )
  addLogOptions(command)
    .addHelpText(
      'after',
      examples(
        [
          'stele witness add-log log.example.com/logs/main+a3b1+AZ…',
          'its origin is log.example.com/logs/main',
        ],
        [
          'stele witness add-log --origin "go.sum database tree" sum.golang.org+033d…',
          'a key of another name',
        ],
      ),
    )
    .action(actions.of(addLog))
}

/** `stele witness list`: the logs, and what was cosigned last. */
export function witnessListCommand(witness: Command, actions: Actions): void {
  witness
    .command('list')
    .description('the logs that this witness cosigns for, and how far it has seen them')
    .addHelpText(
      'after',
      examples([
        'stele witness list --json',
        'an array of origins, keys, sizes, and numbers of evidence files',
      ]),
    )
    .action(actions.of(list))
}

async function addLog(context: Context, told: ToldLog, vkeys: string[]): Promise<void> {
  const { origin, keys } = await toldLog(context, told, vkeys)
  const [{ readWitnessInfo, witnessFiles }, { addToLogList }, { originHash }] = await Promise.all([
    import('../../server/witness-folder.ts'),
    import('../../server/log-list.ts'),
    import('../../witness/logs.ts'),
  ])
  const data = cosignerFolder(context, 'witness')
  const own = ownKeys(await readWitnessInfo(data))
  const log = await addToLogList(witnessFiles(data).logs, own, { origin, keys })
  const { terminal } = context
  await terminal.result({ ...logAsJson(log), originHash: originHash(origin) }, origin)
  terminal.note(
    `${data} cosigns for ${origin}, trusting ${log.keys.length} of its keys, from the next start on.`,
  )
}

async function list(context: Context): Promise<void> {
  const [{ readWitnessInfo, witnessFiles }, { readLogList }, { listEvidence }, { originHash }] =
    await Promise.all([
      import('../../server/witness-folder.ts'),
      import('../../server/log-list.ts'),
      import('../../server/witness-evidence.ts'),
      import('../../witness/logs.ts'),
    ])
  const data = cosignerFolder(context, 'witness')
  const files = witnessFiles(data)
  const own = ownKeys(await readWitnessInfo(data))
  const logs = await readLogList(files.logs, own)
  const evidence = await listEvidence(files.evidence)
  const seen = await seenBy(files.state, own)
  const shown = logs.map((log): Shown => {
    const hash = originHash(log.origin)
    const evidenceFiles = evidence.filter((name) => name.startsWith(hash.slice(0, 16))).length
    return { ...logAsJson(log), originHash: hash, ...seen?.(hash), evidenceFiles }
  })
  await show(context, shown, seen !== undefined)
}

interface Shown {
  readonly origin: string
  readonly verifierKeys: readonly string[]
  readonly originHash: string
  /** Of the checkpoint that was cosigned last; 0 if there is none. Not known while a witness runs on the folder. */
  readonly treeSize?: number
  readonly cosignedAtSeconds?: number
  readonly evidenceFiles: number
}

/** What was cosigned last, by origin hash; undefined while a witness has it open. */
async function seenBy(
  state: { database: string; headFile: string },
  own: readonly VerifierKey[],
): Promise<((hash: string) => Pick<Shown, 'treeSize' | 'cosignedAtSeconds'>) | undefined> {
  const { openWitnessState } = await import('../../witness/level.ts')
  try {
    const store = await openWitnessState(state, own)
    await store.close()
    return (hash) => {
      const head = store.get(hash)
      return head
        ? { treeSize: head.checkpoint.size, cosignedAtSeconds: head.timestampSeconds }
        : { treeSize: 0 }
    }
  } catch (error) {
    if (hasCode(error, 'locked')) return undefined
    throw error
  }
}

async function show({ terminal }: Context, logs: readonly Shown[], known: boolean): Promise<void> {
  if (terminal.json) return terminal.jsonLine(logs)
  for (const { origin, treeSize, cosignedAtSeconds, evidenceFiles } of logs) {
    const size = treeSize === undefined ? 'a witness is running' : `size ${formatCount(treeSize)}`
    const at = cosignedAtSeconds === undefined ? '' : `\t${new Date(cosignedAtSeconds * 1000).toISOString()}`
    await terminal.line(`${origin}\t${size}${at}${evidenceFiles > 0 ? `\tevidence: ${evidenceFiles}` : ''}`)
  }
  if (!known)
    terminal.note(
      'A witness runs on this folder: it serves what it cosigned last, and its metrics have sizes.',
    )
}
