import type { Command } from 'commander'
import type { Actions } from '../action.ts'
import type { Context } from '../context.ts'
import { examples } from '../help.ts'
import { PRIVATE } from '../option-flags.ts'

interface InitOptions {
  readonly name: string
  readonly publicUrl?: string
  readonly origin?: string
  readonly allowDuplicates?: boolean
  readonly headFolder?: string
  readonly public?: boolean
  readonly heads?: string
}

/** `stele init`: makes a data folder with keys and a first log, and never overwrites anything. */
export function initCommand(program: Command, actions: Actions): void {
  program
    .command('init')
    .description('make a data folder, keys, and a first log; never overwrites anything')
    .option('--name <name>', 'name of the first log, part of its URL', 'main')
    .option('--public-url <url>', 'where others reach this server; with it --url means the same', undefined)
    .option('--origin <text>', 'first line of its checkpoints, for ever (default: public URL and log name)')
    .option('--allow-duplicates', 'log the same bytes again each time they are sent')
    .option('--public', 'everyone who reaches the server reads entries (default: they take a key)')
    .addOption(PRIVATE)
    .option('--heads <who>', 'of a private log: "closed" if checkpoints take a key as well (default: open)')
    .option(
      '--head-folder <folder>',
      'where to keep the second copy of the last signed head; best on another disk',
    )
    .addHelpText(
      'after',
      examples(
        ['stele init', 'make ./data with a log named "main"'],
        [
          'stele init --data /var/lib/stele --public-url https://log.example.com --name audit',
          'its origin is log.example.com/logs/audit',
        ],
      ),
    )
    .action(actions.of(init))
}

async function init(context: Context, options: InitOptions): Promise<void> {
  const { initialise } = await import('../files/initialise.ts')
  const { data, terminal } = context
  const made = await initialise(data, { ...options, publicUrl: options.publicUrl ?? context.flagUrl })
  const { name, origin, verifierKey, provisioningKey } = made
  if (terminal.json) return terminal.jsonLine({ data, name, origin, verifierKey, provisioningKey })
  await terminal.line(verifierKey)
  terminal.note(`
Made ${data} with the log "${name}" (origin ${origin}).
The line above is its verifier key: give it to everyone who is to verify this log.

The provisioning key, shown this once: it makes API keys and logs, and can neither read nor write entries.
  ${provisioningKey}

Next:
  ${context.io.calledAs} key create --role writer --log ${name} --data ${data}     a key that may append
  ${context.io.calledAs} serve --data ${data}     serve it on http://127.0.0.1:6962/logs/${name}
Back up ${data}/logs/${name}/log.skey and tree-head.pem now, offline: without them the log ends.`)
}
