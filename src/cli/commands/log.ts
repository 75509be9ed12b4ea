import type { Command } from 'commander'
import { type Actions, examples, PRIVATE, PUBLIC_URL } from '../action.ts'
import { adoptHead } from './log-adopt-head.ts'
import { freezeCommand, lineageCommand, rolloverCommand } from './log-end.ts'
import {
  addKeyCommand,
  createLogCommand,
  listLogsCommand,
  retireKeyCommand,
  rotateKeyCommand,
  setAccessCommand,
  setPolicyCommand,
  showLogCommand,
} from './log-change.ts'
import { SERVER } from './log-server.ts'

/** `stele log …`: the logs of a data folder. */
export function logCommand(program: Command, actions: Actions): void {
  const log = program.command('log').description('the logs of a data folder').helpCommand(false)
  log
    .command('create <name>')
    .description('make one more log in the data folder, with keys of its own')
    .option(...PUBLIC_URL)
    .option('--origin <text>', 'first line of its checkpoints, for ever (default: public URL and log name)')
    .option('--allow-duplicates', 'log the same bytes again each time they are sent')
    .option('--public', 'everyone who reaches the server reads entries (default: they take a key)')
    .addOption(PRIVATE)
    .option('--heads <who>', 'of a private log: "closed" if checkpoints take a key as well (default: open)')
    .option('--head-folder <folder>', 'where to keep the second copy of the last signed head')
    .option(...SERVER)
    .addHelpText(
      'after',
      examples(
        ['stele log create billing', 'in the data folder of a stopped server'],
        ['stele log create billing --server https://log.example.com', 'served at once'],
      ),
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
  settingCommands(log, actions)
  keyCommands(log, actions)
  endCommands(log, actions)
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

function settingCommands(log: Command, actions: Actions): void {
  log
    .command('set-policy <name> [file]')
    .description('set whose cosignatures the log waits for before readers see a head (c2sp.org/tlog-policy)')
    .option('--none', 'wait for nobody any more')
    .option(...SERVER)
    .addHelpText(
      'after',
      examples(
        ['stele log set-policy main trust.policy', '"stele policy make" writes one'],
        ['stele log set-policy main --none --server https://log.example.com', 'without a restart'],
      ),
    )
    .action(actions.of(setPolicyCommand))
  log
    .command('set-access <name>')
    .description('change who reads the log')
    .option('--reads <who>', 'public: everyone reads entries; private: they take a key')
    .option('--heads <who>', 'open: checkpoints are for everyone; closed: they take a key')
    .option(...SERVER)
    .addHelpText(
      'after',
      examples(['stele log set-access main --reads private --heads closed', 'what was read stays read']),
    )
    .action(actions.of(setAccessCommand))
}

const STOPPED = 'A running server closes the log for a moment; without --server it has to be stopped.'

function keyCommands(log: Command, actions: Actions): void {
  log
    .command('add-key <name>')
    .description('let a further key sign every head from the next one on')
    .option('--algorithm <name>', 'ed25519 or ml-dsa-44, which also withstands quantum computers', 'ed25519')
    .option(...SERVER)
    .addHelpText(
      'after',
      examples(
        ['stele log add-key main --algorithm ml-dsa-44', 'a second line beside the Ed25519 one'],
        ['stele log show main', STOPPED],
      ),
    )
    .action(actions.of(addKeyCommand))
  log
    .command('rotate-key <name>')
    .description(
      'make a key in the place of an old one, which announces it and goes on signing beside it for now',
    )
    .option('--key <key-id>', 'the old key, 8 hex digits (default: the first Ed25519 key that signs)')
    .option('--overlap-days <days>', 'how long the old key is announced to sign as well (default: 30)')
    .option(...SERVER)
    .addHelpText(
      'after',
      examples(
        ['stele log rotate-key main --overlap-days 90', STOPPED],
        ['stele log retire-key main 3f2a91c4', 'when the 90 days are over'],
      ),
    )
    .action(actions.of(rotateKeyCommand))
  log
    .command('retire-key <name> <key-id>')
    .description('let a key sign no further head; never the last one, nor one without a successor beside it')
    .option(
      '--before-overlap-ends',
      'although it was announced to sign for longer: it has leaked, for example',
    )
    .option(...SERVER)
    .addHelpText(
      'after',
      examples(['stele log retire-key main 3f2a91c4', 'heads that it has signed stay as good as they were']),
    )
    .action(actions.of(retireKeyCommand))
}

function endCommands(log: Command, actions: Actions): void {
  log
    .command('freeze <name>')
    .description('FOR EVER: let the log take no entry any more; it is read, proven and signed as before')
    .option('--successor <url>', 'where the log goes on: told to everyone who still wants to write')
    .option(...SERVER)
    .addHelpText(
      'after',
      examples([
        'stele log freeze main --successor https://log.example.com/logs/2027',
        'there is no way back',
      ]),
    )
    .action(actions.of(freezeCommand))
  log
    .command('rollover <name> <new-name>')
    .description('FOR EVER: freeze the log and begin its successor; each names the other in an entry')
    .option(...PUBLIC_URL)
    .option('--origin <text>', "the successor's origin (default: public URL and new name)")
    .option('--successor <url>', "the successor's URL (default: public URL and new name)")
    .option('--head-folder <folder>', "where to keep the second copy of the successor's last signed head")
    .addHelpText(
      'after',
      examples(
        ['stele log rollover 2026 2027', 'cut short? the same command again goes on where it was'],
        ['stele log lineage 2027', 'checks that the two name each other'],
      ),
    )
    .action(actions.of(rolloverCommand))
  log
    .command('lineage <name>')
    .description('which log came before this one and which comes after, and whether they name each other')
    .addHelpText('after', examples(['stele log lineage 2027', 'exit code 14 if they do not']))
    .action(actions.of(lineageCommand))
}
