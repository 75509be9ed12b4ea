import type { Command } from 'commander'
import { toHex } from '../../bytes/hex.ts'
import type { VerifiedCheckpoint } from '../../client/heads.ts'
import { type Actions, examples } from '../action.ts'
import { addTrustOptions, type Context } from '../context.ts'

/** `stele checkpoint`: the newest signed tree head, verified. */
export function checkpointCommand(program: Command, actions: Actions): void {
  const command = program
    .command('checkpoint')
    .description("write the log's newest checkpoint, after verifying its signature")
  addTrustOptions(command)
    .addHelpText(
      'after',
      examples([
        'stele checkpoint > $(date +%F).checkpoint',
        'keep one regularly: "stele consistency" later proves that no entry before it was changed',
      ]),
    )
    .action(actions.of(checkpoint))
}

async function checkpoint(context: Context): Promise<void> {
  const { terminal } = context
  const head = await (await context.openLog()).checkpoint()
  await (terminal.json ? terminal.jsonLine(checkpointJson(head)) : terminal.data(head.note))
}

/** A checkpoint in JSON output. */
export function checkpointJson({ origin, size, root, note }: VerifiedCheckpoint): object {
  return { origin, treeSize: size, rootHash: toHex(root), checkpoint: note }
}
