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

/** `stele log …`: manages the logs of a data folder. */
export function logCommand(program: Command, actions: Actions): void {
  const log = program.command('log').description('the logs of a data folder').helpCommand(false)
  log
    .command('create <name>')
    .description('create another log in the data folder, with its own keys')
    .option(...PUBLIC_URL)
    .option(
      '--origin <text>',
      'first line of its checkpoints, which cannot be changed (default: public URL and log name)',
    )
    .option('--allow-duplicates', 'log the same bytes again each time they are sent')
    .option('--public', 'entries can be read without a key (default: a key is required)')
    .addOption(PRIVATE)
    .option(
      '--heads <who>',
      'for a private log: "closed" if checkpoints require a key as well (default: open)',
    )
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
    .description('list the logs of the data folder')
    .addHelpText('after', examples(['stele log list --json', 'an array of names, origins, keys and sizes']))
    .action(actions.of(listLogsCommand))
  log
    .command('show <name>')
    .description('show a log: origin, verifier key, files, last signed head')
    .addHelpText(
      'after',
      examples(['stele log show main', 'give the verifier key to everyone who verifies the log']),
    )
    .action(actions.of(showLogCommand))
  settingCommands(log, actions)
  keyCommands(log, actions)
  endCommands(log, actions)
  log
    .command('adopt-head <name>')
    .description('DANGEROUS: make a new head file from the database, if the old one is lost')
    .option(
      '--checkpoint <file>',
      'a checkpoint of this log kept by another party; the database must extend it',
    )
    .option('--yes-i-have-none', 'no party kept one; a rollback would go unnoticed')
    .addHelpText(
      'after',
      `
A log uses its head file to detect that its database was rolled back. Without a head file a rollback cannot be detected,
so this command first verifies the whole database, and requires a checkpoint kept by another party.
${examples(['stele log adopt-head main --checkpoint auditor.checkpoint', 'refused unless the database extends it'])}`,
    )
    .action(actions.of(adoptHead))
}

function settingCommands(log: Command, actions: Actions): void {
  log
    .command('set-policy <name> [file]')
    .description(
      'set the witnesses whose cosignatures a head needs before it is published (c2sp.org/tlog-policy)',
    )
    .option('--none', 'do not wait for witnesses')
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
    .description('change who can read the log')
    .option('--reads <who>', 'public: entries can be read without a key; private: they require a key')
    .option('--heads <who>', 'open: checkpoints can be read without a key; closed: they require a key')
    .option(...SERVER)
    .addHelpText(
      'after',
      examples([
        'stele log set-access main --reads private --heads closed',
        'earlier readers keep their copies',
      ]),
    )
    .action(actions.of(setAccessCommand))
}

const STOPPED = 'A running server closes the log for a moment; without --server it must be stopped.'

function keyCommands(log: Command, actions: Actions): void {
  log
    .command('add-key <name>')
    .description('add a key, which signs every head from the next one on')
    .option('--algorithm <name>', 'ed25519 or ml-dsa-44, which also withstands quantum computers', 'ed25519')
    .option(...SERVER)
    .addHelpText(
      'after',
      examples(
        ['stele log add-key main --algorithm ml-dsa-44', 'a second signature line beside the Ed25519 one'],
        ['stele log show main', STOPPED],
      ),
    )
    .action(actions.of(addKeyCommand))
  log
    .command('rotate-key <name>')
    .description('replace a key with a new one, which the old key announces; for now both keys sign')
    .option('--key <key-id>', 'the old key, 8 hex digits (default: the first Ed25519 key that signs)')
    .option('--overlap-days <days>', 'for how long the old key is announced to keep signing (default: 30)')
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
    .description('stop a key from signing; refused for the last key, and for a key without a successor')
    .option(
      '--before-overlap-ends',
      'although it was announced to sign for longer, for example because it has leaked',
    )
    .option(...SERVER)
    .addHelpText(
      'after',
      examples(['stele log retire-key main 3f2a91c4', 'heads that it has signed stay valid']),
    )
    .action(actions.of(retireKeyCommand))
}

function endCommands(log: Command, actions: Actions): void {
  log
    .command('freeze <name>')
    .description(
      'PERMANENT: make the log read-only; its entries can still be read and proven, and its head is still signed',
    )
    .option('--successor <url>', 'URL of the log that continues it, given to clients that still append')
    .option(...SERVER)
    .addHelpText(
      'after',
      examples(['stele log freeze main --successor https://log.example.com/logs/2027', 'cannot be undone']),
    )
    .action(actions.of(freezeCommand))
  log
    .command('rollover <name> <new-name>')
    .description('PERMANENT: freeze the log and create its successor; each names the other in an entry')
    .option(...PUBLIC_URL)
    .option('--origin <text>', "the successor's origin (default: public URL and new name)")
    .option('--successor <url>', "the successor's URL (default: public URL and new name)")
    .option('--head-folder <folder>', "where to keep the second copy of the successor's last signed head")
    .addHelpText(
      'after',
      examples(
        ['stele log rollover 2026 2027', 'after an interruption, run the same command again'],
        ['stele log lineage 2027', 'checks that the two name each other'],
      ),
    )
    .action(actions.of(rolloverCommand))
  log
    .command('lineage <name>')
    .description('show the logs before and after this one, and check that they name each other')
    .addHelpText('after', examples(['stele log lineage 2027', 'exit code 14 if they do not']))
    .action(actions.of(lineageCommand))
}
