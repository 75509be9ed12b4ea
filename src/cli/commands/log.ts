import type { Command } from 'commander'
import type { Actions } from '../action.ts'
import { examples } from '../help.ts'
import { adoptHead } from './log-adopt-head.ts'
import { createLogCommand, listLogsCommand, showLogCommand } from './log-folder.ts'

/** `stele log …`: the logs of a data folder. */
export function logCommand(program: Command, actions: Actions): void {
  const log = program.command('log').description('the logs of a data folder').helpCommand(false)
  log
    .command('create <name>')
    .description('make one more log in the data folder, with keys of its own')
    .option('--public-url <url>', 'where others reach this server; --url means the same here')
    .option('--origin <text>', 'first line of its checkpoints, for ever (default: public URL and log name)')
    .option('--allow-duplicates', 'log the same bytes again each time they are sent')
    .option('--head-folder <folder>', 'where to keep the second copy of the last signed head')
    .addHelpText(
      'after',
      examples(['stele log create billing', 'a server that runs must be started again to see it']),
    )
    .action(actions.of(createLogCommand))
  log
    .command('list')
    .description('the logs of the data folder')
    .addHelpText('after', examples(['stele log list --json', 'an array of names, origins, keys and sizes']))
    .action(actions.of(listLogsCommand))
  log
    .command('show <name>')
    .description('what a log is: origin, verifier key, files, last signed head')
    .addHelpText(
      'after',
      examples(['stele log show main', 'the verifier key is for everyone who verifies the log']),
    )
    .action(actions.of(showLogCommand))
  log
    .command('adopt-head <name>')
    .description('DANGEROUS: make a new head file from the database, where the old one was lost for good')
    .option(
      '--checkpoint <file>',
      'a checkpoint of this log that somebody else kept: the database must extend it',
    )
    .option('--yes-i-have-none', 'nobody kept one: a rollback would go unnoticed')
    .addHelpText(
      'after',
      `
The head file is how a log notices that its database was rolled back. Without it nobody can tell, so this first
rehashes the whole database, and asks for a checkpoint that somebody outside kept.
${examples(['stele log adopt-head main --checkpoint auditor.checkpoint', 'refused unless the database extends it'])}`,
    )
    .action(actions.of(adoptHead))
}
