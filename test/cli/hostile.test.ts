import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createServerLog } from '../../src/http/server-log.ts'
import { visible, visibleJson, visibleText } from '../../src/bytes/visible.ts'
import { formatVerifierKey, generateSigningKey } from '../../src/note/key.ts'
import { FakeLog, VKEY } from '../client/fake-log.ts'
import { testFolder } from '../support/folder.ts'
import { dataFolder, stele, type Ran } from './fixture.ts'

/** Hides text, sets a title, turns the order round, and tries to begin a line of its own. */
const CONTROLS = '\u001B[8m\u001B]0;x\u0007\u009B35m\u0085\u200E\u202E\u2066\u2028\u061C\u007F'
const HOSTILE = `${CONTROLS}\r\nFORGED: all is well\n\tFORGED`

// eslint-disable-next-line no-control-regex
const UNSEEN = /[\u0000-\u0008\u000B-\u001F\u007F-\u009F\u061C\u200E\u200F\u2028-\u202E\u2066-\u2069]/

/** What a terminal would show: our own colours, and the line that progress is drawn on, are taken away first. */
function expectHarmless({ out, err }: Ran, what: string): void {
  // eslint-disable-next-line no-control-regex
  const own = /\u001B\[(?:1|22|31|32|33|39)m|\r\u001B\[K/g
  for (const text of [out, err].map((each) => each.replaceAll(own, ''))) {
    expect(UNSEEN.exec(text)?.[0], `${what}: ${JSON.stringify(text)}`).toBeUndefined()
    expect(text, what).not.toMatch(/^\t?FORGED/m)
  }
}

type Answer = readonly [status: number, type: string, body: string]

/** A server that answers as it is told. @returns its address */
async function hostileServer(answer: (req: IncomingMessage) => Answer): Promise<string> {
  const server = createServer((req, res) => {
    const [status, type, body] = answer(req)
    req.resume().on('end', () => res.writeHead(status, { 'content-type': type }).end(body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Every command that shows what a server or a log says. */
function commandsAt(
  url: string,
  files: Readonly<Record<'entry' | 'policy' | 'checkpoint', string>>,
): string[][] {
  const log = ['--url', `${url}/logs/main`, '--key', VKEY]
  const server = ['--server', url]
  const out = (name: string): string => join(testFolder(), name)
  return [
    ['add', files.entry, ...log],
    ['add', '--lines', files.entry, ...log],
    ['get', '0', ...log],
    ['checkpoint', ...log],
    ['prove', '0', ...log],
    ['consistency', files.checkpoint, ...log],
    ['export', out('export'), ...log],
    ['backup', out('backup'), ...log],
    ['audit', `${url}/logs/main`, '--key', VKEY],
    ['fsck', ...log],
    ['monitor', `${url}/logs/main`, '--key', VKEY, '--once', '--state', out('state')],
    ['bench', '--duration', '1', ...log],
    ['meta', ...server, '--key', VKEY],
    ['status', ...server],
    ['key', 'list', ...server],
    ['key', 'create', '--role', 'writer', '--log', 'main', ...server],
    ['key', 'rotate', 'x', ...server],
    ['key', 'revoke', 'x', ...server],
    ['log', 'create', 'x', ...server],
    ['log', 'set-policy', 'main', files.policy, ...server],
    ['log', 'set-access', 'main', '--reads', 'private', ...server],
    ['log', 'add-key', 'main', ...server],
    ['log', 'rotate-key', 'main', ...server],
    ['log', 'retire-key', 'main', '3f2a91c4', ...server],
    ['log', 'freeze', 'main', ...server],
    ['repair', 'main', '--from', `${url}/logs/main`],
    ['restore', `${url}/logs/main`, '--key', VKEY, '--not-frozen'],
  ]
}

const problem = JSON.stringify({ title: HOSTILE, detail: HOSTILE, code: 'forbidden', status: 403 })
const key = {
  id: HOSTILE,
  role: 'writer',
  logs: [HOSTILE],
  label: HOSTILE,
  createdAt: '2026-01-01T00:00:00Z',
}
const info = { ...key, createdBy: HOSTILE, expiresAt: '2027-01-01T00:00:00Z', state: 'valid' }
const moment = { treeSize: 1, timestampMs: 1 }
const described = {
  name: HOSTILE,
  origin: HOSTILE,
  path: HOSTILE,
  verifierKey: HOSTILE,
  verifierKeys: [HOSTILE],
  treeHeadKey: 'AAAA',
  state: 'failed',
  reason: HOSTILE,
  successor: HOSTILE,
  allowDuplicates: false,
  reads: 'public',
  heads: 'open',
}

/** Answers of the right form, with such texts wherever one may stand. */
function wellFormed({ url = '', method }: IncomingMessage): Answer {
  const answers: readonly (readonly [RegExp, object])[] = [
    [/^\/v1\/keys\/.*revoke$/, info],
    [/^\/v1\/keys(\/.*rotate)?$/, method === 'POST' ? { key: HOSTILE, info } : { keys: [info] }],
    [/freeze$/, { treeSize: 1, rootHash: 'a'.repeat(64), successor: HOSTILE, published: false }],
    [/\/(keys|retire)$/, { verifierKey: HOSTILE, since: moment, rotations: [HOSTILE] }],
    [/policy$/, { policy: HOSTILE }],
    [/access$/, { reads: 'private', heads: 'open' }],
    [
      /readyz$/,
      { status: 'not ready', logs: [{ name: HOSTILE, ready: false, state: HOSTILE, reason: HOSTILE }] },
    ],
    [/^\/v1\/logs$/, method === 'POST' ? described : { logs: [described] }],
  ]
  const found = answers.find(([path]) => path.test(url.split('?')[0]!))
  return found
    ? [200, 'application/json', JSON.stringify(found[1])]
    : [404, 'application/problem+json', problem]
}

describe.each([
  ['on a terminal', { terminal: true }],
  ['in a pipe', {}],
])('%s, what a hostile server says is shown and not obeyed:', (_, world) => {
  test.each<[string, (req: IncomingMessage) => Answer]>([
    ['in problem documents', () => [403, 'application/problem+json', problem]],
    ['in pages', () => [200, 'text/plain', HOSTILE]],
    ['in answers of the right form', wellFormed],
  ])('%s', { timeout: 120_000 }, async (name, answer) => {
    const url = await hostileServer(answer)
    const { data } = await dataFolder()
    const folder = testFolder()
    const files = { entry: join(folder, 'e'), policy: join(folder, 'p'), checkpoint: join(folder, 'c') }
    writeFileSync(files.entry, 'x')
    writeFileSync(files.policy, `log ${VKEY}\nquorum none\n`)
    writeFileSync(files.checkpoint, (await FakeLog.create(2)).note)
    let shown = 0
    for (const args of commandsAt(url, files)) {
      const target = args[0] === 'restore' ? join(testFolder(), 'new') : data
      const ran = await stele([...args, '--data', target], {
        ...world,
        env: { STELE_API_KEY: `st_writer_${'a'.repeat(16)}_${'b'.repeat(43)}` },
      })
      expectHarmless(ran, `${name}: ${args.join(' ')}`)
      expect(ran.code, args.join(' ')).not.toBe(70)
      if (/\\u\{|\\u009b|FORGED/i.test(ran.out + ran.err)) shown++
    }
    // Else nothing of it was repeated, and nothing was tried; of pages nothing is.
    if (name !== 'in pages') expect(shown).toBeGreaterThan(4)
  })
})

describe('what stands in files is shown and not obeyed:', () => {
  const name = 'log.example/\u202E\u009B35m\u200Fx'
  const folder = (): string => testFolder()

  async function hostileLog(): Promise<{ log: FakeLog; vkey: string }> {
    const log = new FakeLog()
    log.origin = name
    log.key = generateSigningKey(name, new Uint8Array(32).fill(7))
    await log.add([HOSTILE, 'second'])
    return { log, vkey: formatVerifierKey(log.key.verifier) }
  }

  test('origins, names of keys and of files, in proofs, policies, evidence and reports', async () => {
    const { log, vkey } = await hostileLog()
    const at = folder()
    const path = (file: string): string => join(at, file)
    writeFileSync(path(`a\u202E\u001B[8m.tlog-proof`), await log.prove(0))
    writeFileSync(path(`a\u202E\u001B[8m`), HOSTILE)
    writeFileSync(path('policy'), `log ${vkey}\nquorum none\n`)
    writeFileSync(path('bad-policy'), `${CONTROLS}\n`)
    writeFileSync(path('checkpoint'), log.note)
    writeFileSync(path('evidence'), JSON.stringify({ kind: HOSTILE }))
    const report = path('.report')
    for (const args of [
      ['verify', at, '--key', vkey, '--report', report],
      ['verify', at, '--policy', path('policy')],
      ['verify', '--evidence', path('evidence'), '--key', vkey],
      ['policy', 'check', path('policy')],
      ['policy', 'check', path('bad-policy')],
      ['policy', 'check', path('policy'), path('checkpoint')],
      ['config', 'check', '--config', path('evidence')],
      ['get', HOSTILE],
      [HOSTILE],
      ['get', '0', `--${CONTROLS}`],
    ]) {
      const ran = await stele(args, { terminal: true })
      expectHarmless(ran, args.join(' '))
      expect(ran.out + ran.err, args.join(' ')).not.toBe('')
    }
    expect(UNSEEN.test(readFileSync(report, 'utf8'))).toBe(false)
    expect(readFileSync(report, 'utf8')).toContain('log.example/\\u{202e}')
  })

  test('entries on a terminal, a line each; in a pipe and as JSON they stay exactly as they are', async () => {
    const log = await FakeLog.create(0)
    await log.add([HOSTILE, 'second'])
    // The bytes of tiles are no text: they go out as they are.
    const exact = createServer((req, res) => {
      const file = log.file((req.url ?? '').replace('/logs/main/', ''))
      if (file) res.end(file)
      else res.writeHead(404).end()
    })
    await new Promise<void>((resolve) => exact.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void exact.close())
    const flags = [
      '--url',
      `http://127.0.0.1:${(exact.address() as AddressInfo).port}/logs/main`,
      '--key',
      VKEY,
    ]
    const shown = await stele(['get', '0', ...flags], { terminal: true })
    expectHarmless(shown, 'get')
    expect(shown.out).toBe(`${visible(HOSTILE)}\n`)
    expect((await stele(['get', '0', ...flags])).bytes).toEqual(Buffer.from(HOSTILE))
    const json = await stele(['get', '0', '--json', ...flags], { terminal: true })
    expect(Buffer.from((JSON.parse(json.out) as { entry: string }).entry, 'base64')).toEqual(
      Buffer.from(HOSTILE),
    )
  })

  test('labels of keys and lines of the meta log, and --json gives them back as they were', async () => {
    const { data } = await dataFolder()
    const label = HOSTILE.slice(0, 60).replaceAll(/[\r\n\t]/g, ' ')
    await stele(['access', 'init', '--data', data])
    const made = await stele([
      'key',
      'create',
      '--role',
      'writer',
      '--log',
      'main',
      '--label',
      label,
      '--data',
      data,
    ])
    expectHarmless(made, 'key create')
    const json = await stele(['key', 'list', '--json', '--data', data])
    const listed = await stele(['key', 'list', '--data', data], { terminal: true })
    expectHarmless(listed, 'key list')
    expect(made.code).toBe(0)
    expect((JSON.parse(json.out) as { label: string }[]).map((each) => each.label)).toContain(label)
    expect(listed.out).toContain('\\u{9b}')
    expectHarmless(json, 'key list --json')
    expectHarmless(await stele(['meta', '--data', data, '--all'], { terminal: true }), 'meta')
  })
})

describe('escaping', () => {
  test('writes out what is not shown, and leaves letters of every language as they are', () => {
    const text = 'Grüße, 世界, שלום, 🪨 – “x”'
    for (const escape of [visible, visibleText, visibleJson]) expect(escape(text)).toBe(text)
    expect(visible('a\u202Eb\u001B[1m\n\t\u2028')).toBe('a\\u{202e}b\\u{1b}[1m\\u{a}\\u{9}\\u{2028}')
    expect(visibleText('a\u202Eb\n\t')).toBe('a\\u{202e}b\n\t')
  })

  test('of JSON changes nothing that is read back', () => {
    const json = visibleJson(JSON.stringify({ [HOSTILE]: HOSTILE }))
    expect(json).not.toMatch(UNSEEN)
    expect(JSON.parse(json)).toEqual({ [HOSTILE]: HOSTILE })
  })

  test("holds for the server's own log, of which pino escapes C0 alone", () => {
    const lines: string[] = []
    const logger = createServerLog('info', { write: (line) => void lines.push(line) })
    logger.info({ label: HOSTILE, [CONTROLS]: 1 }, HOSTILE)
    expect(lines[0]!.trimEnd()).not.toMatch(UNSEEN)
    expect(JSON.parse(lines[0]!)).toMatchObject({ label: HOSTILE, msg: HOSTILE })
  })

  test('no command writes to the process past it', () => {
    const files = readdirSync('src/cli', { recursive: true, encoding: 'utf8' }).filter((file) =>
      file.endsWith('.ts'),
    )
    const writes = files.filter((file) =>
      /(?:std(?:out|err)|#sink)\.write\(|console\.\w+\(/.test(readFileSync(join('src/cli', file), 'utf8')),
    )
    expect(writes.toSorted()).toEqual(['output/terminal.ts', 'program.ts', 'report.ts'])
  })
})
