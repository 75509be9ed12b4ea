import { visible } from '../../bytes/visible.ts'
import type { Command } from 'commander'
import type { KeyInfo } from '../../access/key-record.ts'
import type { MadeKey, NewKey } from '../../access/keyring.ts'
import { ROLES, type Role } from '../../access/role.ts'
import { SteleError } from '../../errors.ts'
import { type Actions, examples } from '../action.ts'
import type { Context } from '../context.ts'
import { KEY_OUT } from '../files/secret-file.ts'
import { parseCount } from '../range.ts'

interface ServerOption {
  readonly server?: string
}

/** The file of the key, if it is not to be printed. */
interface OutOption {
  readonly out?: string
}

interface CreateOptions extends ServerOption, OutOption {
  readonly role: string
  readonly log?: readonly string[]
  readonly allLogs?: boolean
  readonly label?: string
  readonly expiresInDays?: string
  readonly address?: readonly string[]
  readonly requestsPerSecond?: string
}

const DAY_MS = 86_400_000
const SERVER = [
  '--server <url>',
  'use a running server, with the key in STELE_API_KEY (default: the data folder)',
] as const

/** `stele key …`: API keys. */
export function keyCommand(program: Command, actions: Actions): void {
  const key = program
    .command('key')
    .description('API keys: who may append and read')
    .helpCommand(false)
    .addHelpText(
      'after',
      examples(['stele key create --role writer --log main', 'prints a key that may append']),
    )
  key
    .command('create')
    .description('create a key, and print it: it is not stored, and cannot be shown again')
    .requiredOption('--role <role>', 'writer, reader, auditor, monitor, admin or operator')
    .option('--log <name...>', 'a log that it may use (repeatable)')
    .option('--all-logs', 'for every log, including future ones')
    .option('--label <text>', 'its purpose, shown in lists', '')
    .option(
      '--expires-in-days <days>',
      'how long it is valid (default: 90 days, or as long as the key that creates it)',
    )
    .option('--address <range...>', 'addresses or networks that may use it, for example 10.0.0.0/8')
    .option('--requests-per-second <n>', "instead of the server's limit")
    .option(...KEY_OUT)
    .option(...SERVER)
    .addHelpText(
      'after',
      examples(
        ['stele key create --role writer --log main -o writer.key', 'on a stopped server'],
        ['stele key create --role auditor --all-logs --server http://127.0.0.1:6962', 'on a running one'],
      ),
    )
    .action(actions.of(create))
  key
    .command('list')
    .description('list all keys ever created, without their secrets')
    .option(...SERVER)
    .addHelpText('after', examples(['stele key list --json', 'an array']))
    .action(actions.of(list))
  key
    .command('rotate <id>')
    .description('replace a key with a new one; for a while both are valid')
    .option('--overlap-hours <hours>', 'how long the old one stays valid', '24')
    .option(...KEY_OUT)
    .option(...SERVER)
    .addHelpText(
      'after',
      examples(['stele key rotate abcdefgh23456723 --overlap-hours 1', 'prints the new key']),
    )
    .action(actions.of(rotate))
  key
    .command('revoke <id>')
    .description('revoke a key: the next request with it is refused')
    .option('--cascade', 'also revoke the keys that it created, those that they created, and so on')
    .option(...SERVER)
    .addHelpText(
      'after',
      examples(
        ['stele key revoke abcdefgh23456723', 'cannot be undone'],
        ['stele key revoke abcdefgh23456723 --cascade', 'a stolen admin key, and the keys that it created'],
      ),
    )
    .action(actions.of(revoke))
}

async function create(context: Context, options: CreateOptions): Promise<void> {
  const role = parseRole(options.role)
  if ((options.log === undefined) === (options.allLogs !== true)) {
    throw new SteleError('usage', 'key create: expected either --log <name> or --all-logs')
  }
  const days = options.expiresInDays
  const rate = options.requestsPerSecond
  const wanted: NewKey = {
    role,
    logs: options.log ?? '*',
    label: options.label ?? '',
    ...(days === undefined ? {} : { expiresAt: endOf(parseCount(days, '--expires-in-days', 36_500)) }),
    ...(options.address ? { addresses: options.address } : {}),
    ...(rate === undefined
      ? {}
      : { requestsPerSecond: parseCount(rate, '--requests-per-second', 1_000_000) }),
  }
  const keys = await keysOf(context, options)
  await handOver(context, options, () => keys.create(wanted))
}

async function rotate(
  context: Context,
  options: ServerOption & OutOption & { readonly overlapHours: string },
  id: string,
): Promise<void> {
  const hours = options.overlapHours === '0' ? 0 : parseCount(options.overlapHours, '--overlap-hours', 720)
  const keys = await keysOf(context, options)
  await handOver(context, options, () => keys.rotate(id, hours * 3600))
}

async function revoke(
  context: Context,
  { cascade = false, ...options }: ServerOption & { readonly cascade?: boolean },
  id: string,
): Promise<void> {
  const info = await (await keysOf(context, options)).revoke(id, cascade)
  const lines = [info.id, ...(info.alsoRevoked ?? [])].map((each) => `${visible(each)} is revoked`)
  await context.terminal.result(info, lines.join('\n'))
}

function endOf(days: number): string {
  return new Date(Date.now() + days * DAY_MS).toISOString()
}

async function list(context: Context, options: ServerOption): Promise<void> {
  const keys = await (await keysOf(context, options)).list()
  const { terminal } = context
  if (terminal.json) return terminal.jsonLine(keys)
  for (const { id, role, logs, state, expiresAt = 'never', label } of keys) {
    const scope = logs === '*' ? 'all logs' : logs.join(',')
    await terminal.row([id, role, scope, state, expiresAt, label])
  }
}

/** Makes a key, and prints the key or the name of its file. */
async function handOver(
  { terminal }: Context,
  { out }: OutOption,
  make: () => Promise<MadeKey>,
): Promise<void> {
  const { keepKey } = await import('../files/secret-file.ts')
  const { key, info } = await keepKey(out, make)
  await terminal.result({ ...(out === undefined ? { key } : { file: out }), ...info }, visible(out ?? key))
  const scope = info.logs === '*' ? 'all logs' : info.logs.join(', ')
  const where = out === undefined ? '; shown only once' : ''
  terminal.note(`${info.role} for ${visible(scope)}, valid until ${info.expiresAt ?? 'revoked'}${where}.`)
}

/** The keys of a running server, or of the folder of a stopped one. */
interface Keys {
  create(wanted: NewKey): Promise<MadeKey>
  list(): Promise<readonly KeyInfo[]>
  rotate(id: string, overlapSeconds: number): Promise<MadeKey>
  revoke(id: string, cascade: boolean): Promise<KeyInfo>
}

async function keysOf(context: Context, { server }: ServerOption): Promise<Keys> {
  if (server !== undefined) {
    const { servedKeys } = await import('../access/served.ts')
    return servedKeys(server, await context.headers())
  }
  const { storedKeys } = await import('../access/stored-keys.ts')
  const { loadConfig, maxKeyMsOf } = await import('../../config/config.ts')
  return storedKeys(context.data, maxKeyMsOf(loadConfig({ env: context.io.env })))
}

function parseRole(text: string): Role {
  const role = ROLES.find((one) => one === text && one !== 'provisioning')
  if (role) return role
  throw new SteleError(
    'usage',
    `--role: expected writer, reader, auditor, monitor, admin or operator, got "${text}"`,
  )
}
