import type { Command } from 'commander'
import type { Actions } from '../action.ts'
import { examples } from '../help.ts'
import { witnessInitCommand } from './cosigner-init.ts'
import { witnessServeCommand } from './cosigner-serve.ts'
import { witnessAddLogCommand, witnessDropLogCommand, witnessListCommand } from './witness-logs.ts'

/** `stele witness …`: cosigns the checkpoints of logs, and never two histories of one log. */
export function witnessCommand(program: Command, actions: Actions): void {
  const witness = program
    .command('witness')
    .description('cosign the checkpoints of other logs (c2sp.org/tlog-witness)')
    .helpCommand(false)
    .addHelpText(
      'after',
      examples(
        ['stele witness init --name witness.example.org/w1', 'make ./witness with keys of its own'],
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
