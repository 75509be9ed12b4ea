import { join } from 'node:path'
import type { Command } from 'commander'
import { isLoopbackOrigin } from '../../config/public-url.ts'
import { type Actions, examples, PRIVATE } from '../action.ts'
import type { Context } from '../context.ts'
import type { Initialised } from '../files/initialise.ts'
import { STDIN } from '../files/input.ts'
import { PROVISIONING_KEY_FILE } from '../files/secret-file.ts'

/** The default port of `serve`. */
const DEFAULT_PORT = '6962'

interface InitOptions {
  readonly name: string
  readonly publicUrl?: string
  readonly origin?: string
  readonly allowDuplicates?: boolean
  readonly headFolder?: string
  readonly public?: boolean
  readonly heads?: string
  readonly provisioningKeyFile?: string
}

/** `stele init`: creates a data folder with keys and a first log. Never overwrites anything. */
export function initCommand(program: Command, actions: Actions): void {
  program
    .command('init')
    .description('make a data folder, keys, and a first log; never overwrites anything')
    .option('--name <name>', 'name of the first log, part of its URL', 'main')
    .option(
      '--public-url <url>',
      'URL at which clients reach this server; --url means the same here',
      undefined,
    )
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
    .option(
      '--head-folder <folder>',
      'where to keep the second copy of the last signed head; best on another disk',
    )
    .option(
      '--provisioning-key-file <file>',
      'a new file of mode 600 for the provisioning key; "-" prints it (default: shown on a terminal, otherwise written ' +
        `to ${PROVISIONING_KEY_FILE} in the data folder)`,
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
  const { initialise, warnOfLoopback } = await import('../files/initialise.ts')
  const { data, terminal } = context
  const keyFile = keyFileOf(context, options)
  const wanted = { ...options, publicUrl: options.publicUrl ?? context.flagUrl }
  const made = await initialise(data, wanted, keyFile)
  const { name, origin, verifierKey, key: provisioningKey } = made
  const port = localPort(wanted.publicUrl) ?? DEFAULT_PORT
  const key = keyFile === undefined ? { provisioningKey } : { provisioningKeyFile: keyFile }
  if (terminal.json) {
    await terminal.jsonLine({ data, name, origin, verifierKey, ...key })
    return warnOfLoopback(terminal, origin)
  }
  await terminal.line(verifierKey)
  if (options.provisioningKeyFile === STDIN) await terminal.line(provisioningKey)
  terminal.note(`
Created ${data} with the log "${name}" (origin ${origin}).
The line above is its verifier key: give it to everyone who verifies this log.

${aboutKey(made, options, keyFile)}

Next:
  ${context.io.calledAs} key create --role writer --log ${name} --data ${data}     a key that may append
  ${context.io.calledAs} serve --data ${data}${port === DEFAULT_PORT ? '' : ` --port ${port}`}     serve it on http://127.0.0.1:${port}/logs/${name}
Back up ${data}/logs/${name}/log.skey and tree-head.pem now, offline: without them the log cannot continue.`)
  warnOfLoopback(terminal, origin)
}

/** The port of a public URL on this machine, without a proxy in front. */
function localPort(publicUrl: string | undefined): string | undefined {
  if (publicUrl === undefined || !isLoopbackOrigin(new URL(publicUrl).host)) return undefined
  return new URL(publicUrl).port || undefined
}

/** The file of the provisioning key; undefined if the key is shown or printed. */
function keyFileOf(
  { data, terminal }: Context,
  { provisioningKeyFile: asked }: InitOptions,
): string | undefined {
  if (asked !== undefined) return asked === STDIN ? undefined : asked
  return terminal.showsRemarks ? undefined : join(data, PROVISIONING_KEY_FILE)
}

function aboutKey(
  { key }: Initialised,
  { provisioningKeyFile: asked }: InitOptions,
  keyFile: string | undefined,
): string {
  const does = 'it creates API keys and logs, and can neither read nor write entries.'
  if (asked === STDIN) return `The second line is the provisioning key, shown only once: ${does}`
  if (keyFile === undefined) return `The provisioning key, shown only once: ${does}\n  ${key}`
  return `The provisioning key is in ${keyFile}: ${does}\nMove it to your secret store; the server does not need it.`
}
