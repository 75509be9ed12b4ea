import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import { isLoopbackOrigin } from '../../config/public-url.ts'
import type { RunningServer } from '../../server/start.ts'
import { type Actions, examples } from '../action.ts'
import type { Context } from '../context.ts'
import { PROVISIONING_KEY_FILE, WRITER_KEY_FILE } from '../files/secret-file.ts'
import { serveUntilStopped } from '../serving.ts'
import { addServerOptions, configOf, type ServeOptions } from './serve.ts'

/** `stele start`: creates a log if there is none, and serves it. */
export function startCommand(program: Command, actions: Actions): void {
  const command = program
    .command('start')
    .description('"init" if there is no data folder yet, then "serve", and print the next steps')
    .option('--memory', 'use a temporary folder that is removed at the end, for trying things out')
  addServerOptions(command)
  command
    .addHelpText(
      'after',
      examples(
        ['stele start', 'the command that "npm start" runs'],
        ['stele start --memory --port 0', 'a temporary log on a free port'],
      ),
    )
    .action(actions.of(start))
}

async function start(context: Context, options: ServeOptions): Promise<number> {
  if (options['memory'] !== true) return startOn(context, options, context.data)
  const folder = await mkdtemp(join(tmpdir(), 'stele-'))
  try {
    return await startOn(context, options, join(folder, 'data'))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function startOn(context: Context, options: ServeOptions, data: string): Promise<number> {
  // Read before anything is created: a mistake in an option must not leave a folder behind.
  const asked = configOf(context, { data })
  // Log lines of the server would hide the instructions on this screen.
  const quieter = options['logLevel'] === undefined && context.io.env['STELE_LOG_LEVEL'] === undefined
  const config = quieter && !options.config ? configOf(context, { data, 'log-level': 'warn' }) : asked
  const fresh = !existsSync(join(data, 'stele.json'))
  if (fresh) {
    const { initialise } = await import('../files/initialise.ts')
    const port = config.port === 0 ? 6962 : config.port
    const publicUrl = context.flagUrl ?? `http://localhost:${port}`
    await initialise(data, { name: 'main', publicUrl }, join(data, PROVISIONING_KEY_FILE))
    const { writeKey } = await import('../files/secret-file.ts')
    await writeKey(join(data, WRITER_KEY_FILE), await firstWriterKey(data))
  }
  return serveUntilStopped(context, config, (server) => sayNext(context, data, server, fresh))
}

async function firstWriterKey(data: string): Promise<string> {
  const { withOfflineAccess } = await import('../../server/offline.ts')
  const wanted = { role: 'writer', logs: ['main'], label: 'made by the first start' } as const
  const { key } = await withOfflineAccess(data, ({ keyring }) =>
    keyring.create({ id: 'start', grants: 'host' }, wanted),
  )
  return key
}

async function sayNext(
  { terminal, io }: Context,
  data: string,
  { url, logs: served }: RunningServer,
  fresh: boolean,
): Promise<void> {
  const logs = served
    .list()
    .filter(({ reads }) => reads !== 'meta')
    .map(({ name, origin, verifierKey }) => ({ name, origin, verifierKey, url: `${url}/logs/${name}` }))
  const [provisioningKeyFile, writerKeyFile] = [PROVISIONING_KEY_FILE, WRITER_KEY_FILE]
    .map((file) => join(data, file))
    .map((path) => (existsSync(path) ? path : undefined))
  if (terminal.json) return terminal.jsonLine({ url, data, logs, provisioningKeyFile, writerKeyFile })
  const log = logs[0]!
  // The printed commands contain no key, since all users of a machine can read its command lines.
  await terminal.line(`Serving ${logs.map((each) => each.url).join(', ')} from ${data}
${writerKeyFile === undefined ? '' : `\nThe key in ${writerKeyFile} may append to "${log.name}".`}
${
  provisioningKeyFile === undefined
    ? `Keys that append or read are created by "${io.calledAs} key create".`
    : `The key in ${provisioningKeyFile} creates other keys and logs, and can neither read nor write entries.
Move it to your secret store; the server does not need it.`
}
${fresh && isLoopbackOrigin(log.origin) ? LOOPBACK_HELP : ''}
Append an entry, and keep the proof that comes back:
  printf '{"id":"1","at":"%s","action":"hello"}' "$(date -u +%FT%TZ)" > hello.json
  sed 's/^/Authorization: Bearer /' ${writerKeyFile ?? '<file with a key of the role writer>'} | curl -sS -H @- --data-binary @hello.json \\
    -H 'Accept: text/plain' -o hello.tlog-proof ${log.url}/v1/entries

Verify it, offline, with nothing but the log's public key:
  ${io.calledAs} verify hello.tlog-proof --entry hello.json --key '${log.verifierKey}'

More: ${url}/docs, ${io.calledAs} --help. Ctrl-C stops the server; no acknowledged entry is lost.`)
}

const LOOPBACK_HELP = `
The origin of this log, its name, says that it is on this machine, and can never be changed. For a log that others
verify, begin with "stele init --public-url https://<host>": the origin is derived from that URL.
`
