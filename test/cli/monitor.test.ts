import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { Command } from 'commander'
import { describe, expect, test } from 'vitest'
import { Context } from '../../src/cli/context.ts'
import { processIo, type Io } from '../../src/cli/io.ts'
import { FINDING_CODES, verifyEvidenceFile } from '../../src/cli/monitor/verify-evidence.ts'
import type { Finding } from '../../src/monitor/finding.ts'
import { formatVerifierKey } from '../../src/note/key.ts'
import { FakeLog, KEY, ORIGIN as FAKE_ORIGIN } from '../client/fake-log.ts'
import { testFolder } from '../support/folder.ts'
import { dataFolder, lines, serve, stele, type World } from './fixture.ts'
import { listenInTest } from '../support/listen.ts'

/** A fake log behind a real port. */
async function serveFake(log: FakeLog): Promise<{ url: string; flags: string[] }> {
  const url = await listen((path) => log.file(path.slice(1)))
  return { url, flags: [url, '--key', formatVerifierKey(KEY.verifier)] }
}

/** Gives what a function makes of each path; 404 for nothing. */
async function listen(answer: (path: string, body: string) => Uint8Array | undefined): Promise<string> {
  const server = createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      const bytes = answer(request.url!, Buffer.concat(parts).toString())
      response.writeHead(bytes ? 200 : 404, { 'content-type': 'text/plain' }).end(bytes)
    })
  })
  return `http://127.0.0.1:${await listenInTest(server)}`
}

async function monitor(
  args: readonly string[],
  world?: World,
): Promise<{ code: number; err: string; findings: (Finding & { repeated?: boolean })[] }> {
  const { code, out, err } = await stele(['monitor', ...args], world)
  const findings = out
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Finding)
  return { code, err, findings }
}

/** What `verify --evidence` does with a file. */
async function verifyEvidence(file: string, ...flags: string[]): Promise<{ code: number; out: string }> {
  const command = new Command().option('--key <vkey>').option('--json').parse(flags, { from: 'user' })
  const [stdout, stderr] = [new PassThrough(), new PassThrough()]
  const io: Io = { ...processIo(), stdout, stderr, env: {} }
  const code = await verifyEvidenceFile(new Context(io, command), file)
  return { code, out: String(stdout.read() ?? '') }
}

const state = (): string => join(testFolder(), 'state')

describe('monitor --once', () => {
  test('looks at a log that is served, from where it left off', async () => {
    const { flags } = await serve(await dataFolder())
    const args = ['--once', '--state', state(), ...flags, '--contains', 'line 7', '--regex', '^line 1?2$']
    await stele(['add', '--lines', ...flags], { stdin: lines(20) })
    const first = await monitor(args)
    expect(first.findings.map(({ detail }) => [detail['index'], detail['matcher']])).toEqual([
      [7, 'contains line 7'],
      [2, '/^line 1?2$/'],
      [12, '/^line 1?2$/'],
    ])
    expect(first.code).toBe(FINDING_CODES.match)
    expect(await monitor(args)).toEqual({ code: 0, err: '', findings: [] })
    await stele(['add', ...flags], { stdin: 'line 77' })
    expect((await monitor(args)).findings).toMatchObject([{ kind: 'match', detail: { index: 20 } }])
  })

  test('reads the tree heads of a Stele log as a second opinion', async () => {
    const { data, flags } = await serve(await dataFolder())
    const shown = (await stele(['log', 'show', 'main', '--json', '--data', data])).out
    const { treeHeadKey } = JSON.parse(shown) as { treeHeadKey: string }
    const args = ['--once', '--state', state(), ...flags, '--tree-head-key', treeHeadKey]
    expect(await monitor(args)).toEqual({ code: 0, err: '', findings: [] })
  })

  test('a fork makes the exit code, each time, and evidence that anybody can verify offline', async () => {
    const [log, other] = [await FakeLog.create(300), await FakeLog.create(400, (text) => text.toUpperCase())]
    let shown = log
    const url = await listen((path) => shown.file(path.slice(1)))
    const key = formatVerifierKey(KEY.verifier)
    const args = ['--once', '--state', state(), url, '--key', key]
    expect((await monitor(args)).code).toBe(0)
    shown = other
    const { code, findings } = await monitor(args)
    expect([code, findings.map(({ kind }) => kind)]).toEqual([16, ['fork']])
    expect(await monitor(args)).toMatchObject({
      code: 16,
      findings: [{ id: findings[0]!.id, repeated: true }],
    })

    const evidence = findings[0]!.detail['evidence'] as string
    const verified = await verifyEvidence(evidence, '--key', key)
    expect(verified.code).toBe(0)
    expect(verified.out).toMatch(/^proven: fork of log\.example\/logs\/fake, sizes 300 and 400\n/)
    const judged = await verifyEvidence(evidence, '--key', key, '--json')
    expect(JSON.parse(judged.out)).toMatchObject({ verdict: 'proven', kind: 'fork' })
    const tampered = join(testFolder(), 'tampered.json')
    writeFileSync(tampered, readFileSync(evidence, 'utf8').replace('\\n400\\n', '\\n401\\n'))
    expect((await verifyEvidence(tampered, '--key', key)).code).toBe(13)
    await expect(verifyEvidence(evidence)).rejects.toMatchObject({ code: 'usage' })
    await expect(verifyEvidence(evidence, '--key', 'x')).rejects.toMatchObject({ code: 'usage' })
  })

  test('tells one log that is not there from another that is', async () => {
    const { url } = await serveFake(await FakeLog.create(20))
    const { url: otherUrl, key } = await serve(await dataFolder())
    const folder = testFolder()
    const config = join(folder, 'monitor.yaml')
    const fakeKey = formatVerifierKey(KEY.verifier)
    writeFileSync(
      config,
      `logs:
  - url: ${url}/gone
    key: ${fakeKey}
  - url: ${otherUrl}
    key: ${key}
matchers:
  - contains: entry 7
`,
    )
    const gone = await monitor(['--once', '--state', state(), '--config', config])
    expect(gone).toMatchObject({ code: 20, findings: [{ kind: 'unreachable', log: FAKE_ORIGIN }] })
    writeFileSync(config, readFileSync(config, 'utf8').replace('/gone', ''))
    const there = await monitor(['--once', '--state', state(), '--config', config])
    expect(there).toMatchObject({ code: 52, findings: [{ kind: 'match', log: FAKE_ORIGIN }] })
  })

  test('takes logs from a policy, and misses the cosignatures that it asks for', async () => {
    const { url } = await serveFake(await FakeLog.create(3))
    const policy = join(testFolder(), 'policy')
    const key = formatVerifierKey(KEY.verifier)
    writeFileSync(policy, `log ${key} ${url}\nquorum none\n`)
    expect((await monitor(['--once', '--state', state(), '--policy', policy])).code).toBe(0)
    const witness = 'witness.example/w1+20324abe+BCmsuuFBvMrwsi4alNNNC8c2HlJtC/4SyJeUvJMilm3X'
    writeFileSync(policy, `log ${key} ${url}\nwitness w1 ${witness}\nquorum w1\n`)
    expect(await monitor(['--once', '--state', state(), '--policy', policy])).toMatchObject({
      code: 18,
      findings: [{ kind: 'quorum_lost' }],
    })
  })

  test('says when the state cannot be saved: code 40, and nothing has moved on', async () => {
    const { flags } = await serveFake(await FakeLog.create(20))
    const folder = state()
    const args = ['--once', '--state', folder, ...flags]
    expect((await monitor(args)).code).toBe(0)
    const name = readdirSync(folder).find((each) => each.endsWith('.json'))
    const before = readFileSync(join(folder, name!), 'utf8')
    // Where the new state would be written first, there is something in the way.
    mkdirSync(join(folder, `${name}.new`))
    const { code, err } = await monitor(args)
    expect(code).toBe(40)
    expect(err).toContain('the state cannot be saved, so there is no progress')
    expect(readFileSync(join(folder, name!), 'utf8')).toBe(before)
    rmSync(join(folder, `${name}.new`), { recursive: true })
    expect((await monitor(args)).code).toBe(0)
  })

  test('sends findings to a webhook, and says when it does not get through', async () => {
    const { flags } = await serveFake(await FakeLog.create(20))
    const got: string[] = []
    const hook = await listen((_, body) => {
      got.push(body)
      return new Uint8Array(0)
    })
    const secret = join(testFolder(), 'secret')
    writeFileSync(secret, 'sixteen bytes or more\n', { mode: 0o600 })
    const args = ['--once', ...flags, '--contains', 'entry 13', '--webhook', hook, '--webhook-key', secret]
    const { findings } = await monitor([...args, '--state', state()])
    expect(got.map((body) => JSON.parse(body) as unknown)).toEqual(findings)
    writeFileSync(secret, 'short', { mode: 0o600 })
    expect((await monitor([...args, '--state', state()])).code).toBe(2)
    expect((await monitor(args.slice(0, -2))).code).toBe(2)
  })

  test.each([
    [['--from', 'x']],
    [['--field', 'x']],
    [['--regex', '(']],
    [['--interval', '0']],
    [['--tree-head-key', 'AAAA']],
    [['--metrics-port', '70000']],
    [['--config', '/nonexistent.yaml', '--contains', 'x']],
    [['ftp://log.example', '--key', formatVerifierKey(KEY.verifier)]],
  ])('%j is a mistake of the caller', async (args) => {
    const key = args[0]!.startsWith('ftp')
      ? []
      : ['http://127.0.0.1:1', '--key', formatVerifierKey(KEY.verifier)]
    const url = args[0] === '--config' ? [] : key
    const folder = state()
    const { code, err, findings } = await monitor([...url, ...args, '--once', '--state', folder])
    expect([code, findings]).toEqual([2, []])
    expect(err).toMatch(/^stele: /)
    expect(existsSync(folder)).toBe(false)
  })
})

test('monitor watches until it is stopped, and serves metrics', async () => {
  const { flags } = await serve(await dataFolder())
  await stele(['add', ...flags], { stdin: 'first' })
  let stop = (): void => {}
  let matches = 0
  const args = ['--state', state(), ...flags, '--regex', '.', '--metrics-port', '0']
  const running = stele(['monitor', ...args], {
    onStop: (send) => (stop = send),
    onOut: () => {
      matches++
      if (matches === 1) void stele(['add', ...flags], { stdin: 'second' })
      if (matches === 2) stop()
    },
  })
  const { code, out, err } = await running
  expect(code).toBe(0)
  expect(out.trim().split('\n')).toHaveLength(2)
  expect(err).toMatch(/Watching [^]*Metrics: http:\/\/127\.0\.0\.1:\d+\/metrics/)
})

test.each([
  ['cut', '{"format":'],
  ['of another log', JSON.stringify({ format: 'stele-monitor-state/v1', origin: 'other.example/log' })],
])(
  'a state file that is %s is named, the other logs are watched, and the exit code is not 0',
  async (_, text) => {
    const served = await serve(await dataFolder())
    await stele(['add', ...served.flags], { stdin: 'line 1' })
    const fake = await serveFake(await FakeLog.create(1))
    const folder = state()
    const config = join(testFolder(), 'monitor.yaml')
    const logs = [
      { url: served.url, key: served.key },
      { url: fake.url, key: formatVerifierKey(KEY.verifier) },
    ]
    writeFileSync(config, JSON.stringify({ logs, matchers: [{ contains: 'n' }] }))
    const args = ['--once', '--state', folder, '--config', config]
    expect((await monitor(args)).findings).toHaveLength(2)
    const damaged = readdirSync(folder).find((name) => name.startsWith('log.example_logs_main'))!
    writeFileSync(join(folder, damaged), text)
    await stele(['add', ...served.flags], { stdin: 'line 3' })
    const { code, err, findings } = await monitor(args)
    expect(err).toContain(join(folder, damaged))
    expect(err).toContain('NOT watched')
    // Only the other log was looked at, and it had nothing new; what is left to say is that one was not.
    expect(findings).toEqual([])
    expect(code).not.toBe(0)
  },
)
