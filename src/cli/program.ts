import { readFileSync } from 'node:fs'
import { Command, Option } from 'commander'
import { visibleText } from '../bytes/visible.ts'
import { type Actions, examples } from './action.ts'
import { accessCommand } from './commands/access.ts'
import { addCommand } from './commands/add.ts'
import { auditCommand } from './commands/audit.ts'
import { backupCommand } from './commands/backup.ts'
import { benchCommand } from './commands/bench.ts'
import { checkpointCommand } from './commands/checkpoint.ts'
import { configCommand } from './commands/config.ts'
import { consistencyCommand } from './commands/consistency.ts'
import { exportCommand } from './commands/export.ts'
import { fsckCommand } from './commands/fsck.ts'
import { getCommand } from './commands/get.ts'
import { initCommand } from './commands/init.ts'
import { keyCommand } from './commands/key.ts'
import { keygenCommand } from './commands/keygen.ts'
import { logCommand } from './commands/log.ts'
import { metaCommand } from './commands/meta.ts'
import { mirrorCommand } from './commands/mirror.ts'
import { monitorCommand } from './commands/monitor.ts'
import { pocCommand } from './commands/poc.ts'
import { policyCommand } from './commands/policy.ts'
import { proveCommand } from './commands/prove.ts'
import { repairCommand } from './commands/repair.ts'
import { restoreCommand } from './commands/restore.ts'
import { serveCommand } from './commands/serve.ts'
import { startCommand } from './commands/start.ts'
import { statusCommand } from './commands/status.ts'
import { verifyCommand } from './commands/verify.ts'
import { witnessCommand } from './commands/witness.ts'
import { DEFAULT_DATA, DEFAULT_URL } from './context.ts'
import { ROTATIONS_HELP } from './files/rotations.ts'
import type { Io } from './io.ts'
import { indented } from './output/terminal.ts'

/** Builds the command line. It writes only to `io`, and throws instead of ending the process. */
export function createProgram(actions: Actions, io: Io): Command {
  const program = new Command('stele')
    .description(
      'A transparency log: an append-only Merkle tree of entries, with signed checkpoints and proofs.',
    )
    .version(packageVersion())
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(visibleText(text)),
      writeErr: (text) => io.stderr.write(visibleText(text)),
      outputError: (text, write) => write(indented(text.replace(/^error: /, 'stele: '))),
    })
    .configureHelp({ showGlobalOptions: true })
    .helpCommand(false)
    .showHelpAfterError('Run it with --help to see what it expects.')
  addGlobalOptions(program)
  const add = [
    initCommand,
    startCommand,
    serveCommand,
    keyCommand,
    accessCommand,
    metaCommand,
    statusCommand,
    configCommand,
    logCommand,
    keygenCommand,
    addCommand,
    getCommand,
  ]
  const check = [
    checkpointCommand,
    proveCommand,
    verifyCommand,
    consistencyCommand,
    fsckCommand,
    exportCommand,
    backupCommand,
    restoreCommand,
    repairCommand,
    auditCommand,
    monitorCommand,
    policyCommand,
  ]
  const run = [witnessCommand, mirrorCommand, benchCommand, pocCommand]
  for (const command of [...add, ...check, ...run]) command(program, actions)
  return program.addHelpText(
    'after',
    examples(
      ['stele start', 'create ./data if it does not exist, and serve it'],
      ['stele add --lines /var/log/auth.log', 'append every line'],
      ['stele prove 1234 -o line.tlog-proof', 'keep the proof of entry 1234'],
      ['stele verify line.tlog-proof --entry line.txt --key <vkey>', 'verify it, offline'],
    ) + EXIT_SUMMARY,
  )
}

function addGlobalOptions(program: Command): void {
  program
    .addOption(new Option('--data <folder>', `data folder (STELE_DATA, default ./${DEFAULT_DATA})`))
    .addOption(new Option('--url <log prefix>', `the log's URL (STELE_URL, default ${DEFAULT_URL})`))
    .addOption(
      new Option(
        '--key <vkey>',
        "the log's verifier key, or a file with it (STELE_KEY; a log on this machine: its data folder's)",
      ),
    )
    .option('--rotations <file>', ROTATIONS_HELP)
    .addOption(
      new Option(
        '--api-key-file <file>',
        'file of mode 600 with an API key (your own server: or STELE_API_KEY)',
      ),
    )
    .option('--json', 'write results as JSON')
    .option('--quiet', 'no remarks, no progress')
    .option('--no-color', 'no colours (also NO_COLOR=1)')
}

const EXIT_SUMMARY = `
Exit codes:
  0 success: all checks passed   10-19 a verification failed       30-39 a data folder cannot be opened
  1 fsck found damage            20-29 a server failed or refused  40-43 data cannot be read or written
  2-8 wrong usage                70    a bug in stele              proto-docs/cli.md lists each one
`

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
