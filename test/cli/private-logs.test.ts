import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { pino } from 'pino'
import { expect, onTestFinished, test, vi } from 'vitest'
import { loadConfig } from '../../src/config/config.ts'
import { createServer as startServer } from '../../src/server/start.ts'
import type { Finding } from '../../src/monitor/finding.ts'
import { testFolder } from '../support/folder.ts'
import { dataFolder, lines, serve, stele } from './fixture.ts'

// Each makes servers, keys and a dozen command lines; on a busy machine that takes its time.
vi.setConfig({ testTimeout: 90_000 })

interface Instance {
  readonly data: string
  readonly url: string
  /** Verifier key of its log "closed". */
  readonly vkey: string
  readonly operator: { env: Record<string, string> }
  key(role: string): Promise<string>
}

/** A server with access control and a private log of 10 entries, whose heads are open or not. */
async function instance(
  heads: 'open' | 'closed',
  visibility: readonly string[] = ['--private'],
): Promise<Instance> {
  const data = join(testFolder(), 'data')
  const { out } = await stele(['init', '--data', data, '--provisioning-key-file', '-', '--json'])
  const { provisioningKey } = JSON.parse(out) as { provisioningKey: string }
  const made = ['log', 'create', 'closed', ...visibility, '--heads', heads, '--data', data]
  expect((await stele([...made, '--origin', 'log.example/closed'])).code).toBe(0)
  const shown = await stele(['log', 'show', 'closed', '--json', '--data', data])
  const { verifierKey: vkey } = JSON.parse(shown.out) as { verifierKey: string }
  const config = loadConfig({ flags: { data, port: 0, 'log-level': 'silent' } })
  const server = await startServer(config, pino({ level: 'silent' }))
  onTestFinished(() => server.close())
  const operator = { env: { STELE_API_KEY: provisioningKey } }
  const key = async (role: string): Promise<string> => {
    const create = ['key', 'create', '--role', role, '--log', 'closed', '--server', server.url]
    return (await stele(create, operator)).out.trim()
  }
  const at = { data, url: `${server.url}/logs/closed`, vkey, operator, key }
  await add(at, lines(10))
  return at
}

/** Not by `stele add`, which reads back what it logged: writers may not. */
async function add({ url, key }: Pick<Instance, 'url' | 'key'>, text: string): Promise<void> {
  const headers = { authorization: `Bearer ${await key('writer')}`, 'content-type': 'application/x-ndjson' }
  const answer = await fetch(`${url}/v1/batches`, { method: 'POST', headers, body: text })
  expect(answer.status).toBe(200)
}

function secretFile(text: string, mode = 0o600): string {
  const path = join(testFolder(), 'api.key')
  writeFileSync(path, `${text}\n`, { mode })
  return path
}

/** One look of a monitor. */
async function look(args: readonly string[], env: Record<string, string> = {}) {
  const { code, out, err } = await stele(['monitor', '--once', ...args], { env })
  const findings = out
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Finding)
  return { code, out, err, findings }
}

/** Everything in a folder, as one text. */
function all(folder: string): string {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((each) => each.isFile())
  return files.map((file) => readFileSync(join(file.parentPath, file.name), 'latin1')).join('\n')
}

/** A server that is not the log's, and what it was shown. */
async function elsewhere(
  answer: (path: string, auth: string) => { status: number; headers?: object; body?: string },
) {
  const shown: string[] = []
  const server = createServer((req, res) => {
    const auth = req.headers.authorization ?? ''
    shown.push(auth)
    const { status, headers = {}, body = '' } = answer(req.url!, auth)
    res.writeHead(status, { ...headers }).end(body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, shown }
}

test('a monitor follows a private log with its key, and the key is nowhere but in its file', async () => {
  const at = await instance('closed')
  const key = await at.key('reader')
  const file = secretFile(key)
  const folder = dirname(file)
  const state = join(folder, 'state')
  const config = join(folder, 'monitor.yaml')
  writeFileSync(
    config,
    `logs: [{ url: ${at.url}, key: ${at.vkey}, api-key-file: api.key }]\nmatchers: [{ contains: line 7 }]\n`,
  )
  const args = ['--config', config, '--state', state]
  const first = await look(args)
  expect([first.code, first.findings.map(({ kind }) => kind)]).toEqual([52, ['match']])
  await add(at, 'line 70\n')
  expect((await look(args)).findings).toMatchObject([{ kind: 'match', detail: { index: 10 } }])

  const id = key.split('_')[2]!
  expect((await stele(['key', 'revoke', id, '--server', new URL(at.url).origin], at.operator)).code).toBe(0)
  const refused = await look(args)
  expect([refused.code, refused.findings.map(({ kind }) => kind)]).toEqual([7, ['access_denied']])
  expect(refused.findings[0]!.message).toContain('the log REFUSES the configured API key')
  writeFileSync(file, await at.key('reader'))
  expect((await look(args)).code).toBe(0)

  const secret = key.split('_')[3]!
  expect(secret).toHaveLength(52)
  for (const text of [first.out, first.err, refused.out, refused.err, all(state)])
    expect(text).not.toContain(secret)
  writeFileSync(file, 'two words')
  expect((await look(args)).code).toBe(2)
  const readable = secretFile(key, 0o644)
  const flags = [at.url, '--key', at.vkey]
  expect((await look([...flags, '--state', state, '--api-key-file', readable])).code).toBe(34)
  expect((await look([...args, '--api-key-file', file])).code).toBe(2)
  const everyone = [...flags, '--state', join(folder, 'fresh')]
  const anonymous = await look(everyone, { STELE_API_KEY: await at.key('reader') })
  expect([anonymous.code, anonymous.findings.map(({ kind }) => kind)]).toEqual([20, ['unreachable']])
})

const NOT_READ = /its entries require an API key, and none was given that may.*its entries are NOT read/

test('a private log is followed by its heads with a key of the role monitor, which reads no entries', async () => {
  const at = await instance('open')
  const args = [at.url, '--key', at.vkey, '--state', join(testFolder(), 'state'), '--contains', 'line']
  const key = ['--api-key-file', secretFile(await at.key('monitor'))]
  for (const text of ['line 10\n', 'line 11\nline 12\n', '']) {
    const looked = await look([...args, ...key])
    expect([looked.code, looked.findings]).toEqual([0, []])
    expect(looked.err).toMatch(NOT_READ)
    if (text !== '') await add(at, text)
  }
  const other = await stele(
    ['key', 'create', '--role', 'monitor', '--log', 'main', '--server', new URL(at.url).origin],
    at.operator,
  )
  await add(at, 'line 13\n')
  const refused = await look([...args, '--api-key-file', secretFile(other.out.trim())])
  expect([refused.code, refused.findings.map(({ kind }) => kind)]).toEqual([7, ['access_denied']])
})

test('without a key a monitor says that it could not prove a new head of a private log, and accuses nobody', async () => {
  const at = await instance('open')
  const state = join(testFolder(), 'state')
  const args = [at.url, '--key', at.vkey, '--state', state, '--contains', 'line']
  const first = await look(args)
  expect([first.code, first.findings]).toEqual([0, []])
  expect(first.err).toMatch(NOT_READ)
  let id: string | undefined
  for (const text of ['line 10\n', 'line 11\nline 12\n']) {
    await add(at, text)
    const { code, findings } = await look(args)
    expect([code, findings.map(({ kind }) => kind)]).toEqual([7, ['unproven']])
    expect(findings[0]!.message).toContain('extends the accepted one of size 10 could NOT BE PROVEN')
    expect(findings[0]!.message).toContain('the role monitor suffices')
    expect(findings[0]!.detail).not.toHaveProperty('evidence')
    // While it lasts it is one finding.
    expect((id ??= findings[0]!.id)).toBe(findings[0]!.id)
  }
  const withKey = await look([...args, '--api-key-file', secretFile(await at.key('reader'))])
  expect([withKey.code, withKey.findings.length]).toEqual([52, 13])
  // What was read once and is not shown any more is no private log, but one that hides.
  await add(at, 'line 13\n')
  const hidden = await look(args)
  expect([hidden.code, hidden.findings.map(({ kind }) => kind)]).toEqual([7, ['access_denied']])
  expect(hidden.findings[0]!.message).toContain('the log now requires an API key, and none was given')
})

test('a key is shown to no other address than its own, and no server can make anybody repeat it', async () => {
  const at = await instance('closed')
  const key = await at.key('reader')
  const other = await elsewhere(() => ({ status: 200 }))
  const sends = await elsewhere((path) => ({ status: 307, headers: { location: `${other.url}${path}` } }))
  const echo = await elsewhere((_, auth) => ({
    status: 401,
    headers: { 'content-type': 'application/problem+json' },
    body: JSON.stringify({ code: 'unauthenticated', detail: `who is ${auth}? `.repeat(9) }),
  }))
  const state = join(testFolder(), 'state')
  const file = secretFile(key)
  for (const [url, code] of [
    [sends.url, 20],
    [echo.url, 7],
  ] as const) {
    const looked = await look([url, '--key', at.vkey, '--state', state, '--api-key-file', file])
    expect([looked.code, looked.findings]).toMatchObject([code, [{ url }]])
    expect(looked.out + looked.err + all(state)).not.toContain(key.split('_')[3])
    const audited = await stele(['audit', url, '--key', at.vkey, '--api-key-file', file])
    expect(audited.out + audited.err).not.toContain(key.split('_')[3])
  }
  expect(sends.shown).toContain(`Bearer ${key}`)
  expect(other.shown).toEqual([])
})

/** A command line of the kind that an application's operator types, with a key of this role. */
async function as({ url, vkey, key }: Instance, role: string) {
  const env = { STELE_API_KEY: await key(role), STELE_KEY: vkey, STELE_URL: url }
  return (args: readonly string[], stdin = '') => stele(args, { env, stdin })
}

test.each(['open', 'closed'] as const)(
  'a writer appends to a private log whose heads are %s again and again, and gets proofs that verify',
  async (heads) => {
    const at = await instance(heads)
    const writer = await as(at, 'writer')
    const proofs = join(testFolder(), 'proofs')
    const sent = Array.from({ length: 2300 }, (_, i) => `mine ${i}\n`).join('')
    const many = await writer(['add', '--lines', '--proof-dir', proofs], sent)
    expect([many.code, many.err]).toEqual([
      0,
      expect.stringMatching(/^Appended 2,300 entries to log.example/),
    ])
    expect(many.out.split('\n').slice(0, 3)).toEqual(['10', '11', '12'])
    const entry = join(testFolder(), 'entry')
    writeFileSync(entry, 'mine 1234')
    const proof = join(proofs, '1244.tlog-proof')
    expect((await writer(['verify', proof, '--entry', entry])).code).toBe(0)

    const kept = join(testFolder(), 'kept.checkpoint')
    writeFileSync(kept, (await writer(['checkpoint'])).out)
    for (const n of [1, 2]) expect((await writer(['add', '--lines'], `more ${n}\n`)).code).toBe(0)
    const again = await writer(['add', entry])
    expect([again.code, again.out]).toEqual([0, '1244\n'])
    expect(again.err).toContain('1 was already in the log: index 1244, not appended again')
    const consistent = await writer(['consistency', kept])
    expect([consistent.code, consistent.out]).toEqual([
      0,
      expect.stringContaining('size 2,312 extends the one of size 2,310'),
    ])

    // What takes the entries themselves is for readers.
    for (const command of [
      ['get', '3'],
      ['prove', '3'],
      ['audit', at.url, '--api-key-file', secretFile(await at.key('writer'))],
    ])
      expect([command[0], (await writer(command)).code]).toEqual([command[0], 8])
    const reader = await as(at, 'reader')
    expect((await reader(['get', '1244'])).out).toBe('mine 1234')
    const refused = await reader(['add', entry])
    expect([refused.code, refused.out]).toEqual([8, ''])
  },
)

test('lines that differ in nothing that was logged are pointed out', async () => {
  const folder = await dataFolder()
  const { flags } = await serve(folder)
  const add = (stdin: string) => stele(['add', '--lines', '--batch', '7', ...flags], { stdin })
  const equal = await add('user=alice action=login\n'.repeat(30))
  expect([equal.code, equal.out]).toEqual([0, '0\n'.repeat(30)])
  expect(equal.err).toContain('29 were already in the log, the first at index 0, and were not appended again')
  expect(equal.err).toMatch(/warning: 29 lines are equal to earlier ones .*add a time or an id to every line/)
  // A run that is repeated is what duplicates are recognised for.
  expect((await add(lines(30))).err).not.toContain('warning')
  const repeated = await add(lines(30))
  expect(repeated.err).toContain('30 were already in the log')
  expect(repeated.err).not.toContain('warning')
})

test('every command that reads a log at a URL follows its keys by --rotations', async () => {
  const folder = await dataFolder()
  const { data, key: pinned } = folder
  const serving = async () => (await serve(folder)).server
  let server = await serving()
  const at = (url: string): string[] => ['--url', `${url}/logs/main`, '--data', join(testFolder(), 'none')]
  expect(
    (await stele(['add', '--lines', ...at(server.url), '--key', pinned], { stdin: lines(3) })).code,
  ).toBe(0)
  const kept = join(testFolder(), 'kept.checkpoint')
  writeFileSync(kept, (await stele(['checkpoint', ...at(server.url), '--key', pinned])).out)
  await server.close()
  const local = ['main', '--data', data]
  expect((await stele(['log', 'rotate-key', ...local, '--overlap-days', '0'])).code).toBe(0)
  server = await serving()
  await stele(['add', '--lines', ...at(server.url), '--key', pinned], { stdin: 'more\n' })
  await server.close()
  const old = pinned.split('+')[1]!
  expect((await stele(['log', 'retire-key', ...local, old, '--before-overlap-ends'])).code).toBe(0)
  server = await serving()
  const rotations = join(testFolder(), 'rotations')
  writeFileSync(rotations, await (await fetch(`${server.url}/logs/main/v1/keys/rotations`)).text())

  const by = [...at(server.url), '--key', pinned]
  const state = ['--state', join(testFolder(), 'unused')]
  const commands = [
    ['get', '1'],
    ['checkpoint'],
    ['prove', '1'],
    ['consistency', kept],
    ['add', '--lines'],
    ['export', join(testFolder(), 'public')],
    ['fsck'],
    ['audit', `${server.url}/logs/main`],
    ['bench', '--writers', '1', '--duration', '1', '--warmup', '0'],
  ]
  // The head that was signed before the old key retired is signed again right behind the opening.
  await expect.poll(async () => (await stele(['checkpoint', ...by])).code, { timeout: 10_000 }).toBe(12)
  for (const command of commands) {
    const world = { stdin: 'again\n' }
    expect([command[0], (await stele([...command, ...by], world)).code]).toEqual([command[0], 12])
    const followed = await stele([...command, ...by, '--rotations', rotations], world)
    expect([command[0], followed.code, followed.err]).toMatchObject([command[0], 0, expect.any(String)])
  }
  // A monitor asks for the statements itself, keeps them, and needs no file.
  const told = [`${server.url}/logs/main`, '--key', pinned]
  const learned = await look([...told, ...state])
  expect([learned.code, learned.err]).toEqual([0, expect.stringContaining('new trusted keys')])
  expect(all(state[1]!)).toContain('stele key rotation v1')
  const next = await look([...told, ...state])
  expect([next.code, next.err]).toEqual([0, ''])
})
