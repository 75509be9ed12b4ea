import type { Command } from 'commander'
import { hasCode } from '../../errors.ts'
import type { VerifierKey } from '../../note/note.ts'
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
import { witnessInitCommand } from './cosigner-init.ts'
import { witnessServeCommand } from './cosigner-serve.ts'

/** `stele witness …`: cosigns the checkpoints of logs, and never two histories of one log. */
export function witnessCommand(program: Command, actions: Actions): void {
  const witness = program
    .command('witness')
    .description('cosign the checkpoints of other logs (c2sp.org/tlog-witness)')
    .helpCommand(false)
    .addHelpText(
      'after',
      examples(
        ['stele witness init --name witness.example.org/w1', 'create ./witness with its own keys'],
        ['stele witness add-log <vkey of the log>', 'cosign for that log from the next start or SIGHUP on'],
        ['stele witness serve', 'on http://127.0.0.1:6964'],
      ),
    )
  for (const command of [
    witnessInitCommand,
    witnessServeCommand,
    witnessAddLogCommand,
    witnessDropLogCommand,
    witnessListCommand,
  ]) {
    command(witness, actions)
  }
}

/** `stele witness add-log`: adds a log to the list. */
function witnessAddLogCommand(witness: Command, actions: Actions): void {
  const command = witness
    .command('add-log <vkey...>')
    .description('cosign for another log, or trust another key of a log; send SIGHUP to a running witness')
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
          'a log whose key has another name',
        ],
      ),
    )
    .action(actions.of(addLog))
}

/** `stele witness drop-log`: removes a log from the list. */
function witnessDropLogCommand(witness: Command, actions: Actions): void {
  witness
    .command('drop-log <origin>')
    .description('remove a log from the list; its state is kept. Send SIGHUP to a running witness')
    .addHelpText('after', examples(['stele witness drop-log log.example.com/logs/main', 'its origin']))
    .action(
      actions.of((context: Context, _options: object, origin: string) =>
        dropListedLog(context, 'witness', origin),
      ),
    )
}

/** `stele witness list`: the logs, and the newest cosigned sizes. */
function witnessListCommand(witness: Command, actions: Actions): void {
  witness
    .command('list')
    .description('list the logs that this witness cosigns for, and the sizes that it has cosigned')
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
  const data = cosignerFolder(context, 'witness')
  const log = await addListedLog(context, { kind: 'witness', data, log: { origin, keys } })
  context.terminal.note(
    `${data} cosigns for ${origin}, trusting ${log.keys.length} of its keys, from the next start or SIGHUP on.`,
  )
}

async function list(context: Context): Promise<void> {
  const [{ readCosignerInfo }, { readLogList }, { witnessFiles }] = await Promise.all([
    import('../../witness/cosigner-folder.ts'),
    import('../../witness/log-list.ts'),
    import('../../witness/cosigner-folder.ts'),
  ])
  const data = cosignerFolder(context, 'witness')
  const own = ownKeys(await readCosignerInfo('witness', data))
  const files = witnessFiles(data)
  const listed = await readLogList(files.logs, own)
  const seen = await seenBy(files.state, own)
  const logs = await shownLogs(data, listed, (log, hash) =>
    seen ? seen(hash) : servedProgress(data, own, log),
  )
  await showLogs(context, 'witness', logs)
  if (logs.some(({ treeSize }) => treeSize === undefined)) {
    context.terminal.note('A witness runs on this folder, but does not respond. Its metrics show the sizes.')
  }
}

/** The newest cosigned checkpoints, by origin hash; undefined while a witness has the folder open. */
async function seenBy(
  state: { database: string; headFile: string },
  own: readonly VerifierKey[],
): Promise<((hash: string) => Promise<Progress>) | undefined> {
  const { openWitnessState } = await import('../../witness/level.ts')
  try {
    const store = await openWitnessState(state, own)
    await store.close()
    return async (hash) => {
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
