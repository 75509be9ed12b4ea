import type { Command } from 'commander'
import type { Actions } from '../action.ts'
import { examples } from '../help.ts'
import { mirrorInitCommand } from './cosigner-init.ts'
import { mirrorServeCommand } from './cosigner-serve.ts'
import { mirrorAddLogCommand, mirrorDropLogCommand, mirrorListCommand } from './mirror-logs.ts'

/** `stele mirror …`: keeps copies of logs, serves them, and cosigns what it has all entries of. */
export function mirrorCommand(program: Command, actions: Actions): void {
  const mirror = program
    .command('mirror')
    .description('keep, serve and cosign copies of other logs (c2sp.org/tlog-mirror)')
    .helpCommand(false)
    .addHelpText(
      'after',
      examples(
        ['stele mirror init --name mirror.example.org/m1', 'make ./mirror with keys of its own'],
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
