import { chmod, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pino } from 'pino'
import { describe, expect, onTestFinished, test } from 'vitest'
import { formatEvidence, parseEvidence } from '../../src/monitor/evidence.ts'
import { verifyEvidence } from '../../src/monitor/evidence-verdict.ts'
import { formatCheckpoint } from '../../src/note/checkpoint.ts'
import { formatVerifierKey } from '../../src/note/key.ts'
import { KEY_TYPE } from '../../src/note/key-id.ts'
import { signNote } from '../../src/note/note.ts'
import { witnessOptions } from '../../src/witness/cosigner-config.ts'
import { EvidenceFolder, listEvidence } from '../../src/witness/evidence-folder.ts'
import { createWitness, witnessFiles } from '../../src/witness/cosigner-folder.ts'
import { addToLogList, readLogList } from '../../src/witness/log-list.ts'
import { startWitness, type RunningWitness } from '../../src/witness/start.ts'
import { originHash } from '../../src/witness/logs.ts'
import { TestServer } from '../http/server.ts'
import { stele } from '../cli/fixture.ts'
import { testFolder } from '../support/folder.ts'
import { addCheckpoint, FakeLog, testSigner } from './fake-log.ts'
import { NOW_SECONDS } from './fixture.ts'

const NAME = 'witness.example/w1'
const log = new FakeLog('log.example/demo', 40)
const vkey = formatVerifierKey(log.signers[0]!.verifier)
const ED = [KEY_TYPE.ed25519Cosignature]

/** A witness folder that cosigns for the log. */
async function folderWithLog(): Promise<string> {
  const folder = join(testFolder(), 'w')
  await createWitness(folder, NAME, ED)
  await addToLogList(witnessFiles(folder).logs, [], log.asWitnessed)
  return folder
}

async function start(
  folder: string,
  nowMs = () => NOW_SECONDS * 1000,
): Promise<RunningWitness & { http: TestServer }> {
  const config = witnessOptions.load({ flags: { data: folder, port: 0 } })
  const running = await startWitness(config, pino({ level: 'silent' }), nowMs)
  let closed: Promise<void> | undefined
  const close = (): Promise<void> => (closed ??= running.close())
  onTestFinished(close)
  return { ...running, close, http: new TestServer(Number(new URL(running.url).port)) }
}

describe('a witness folder', () => {
  test('is made once, with keys that nobody else can read, and never over anything', async () => {
    const folder = join(testFolder(), 'w')
    const info = await createWitness(folder, NAME, [...ED, KEY_TYPE.mlDsa44Cosignature])
    expect(info.verifierKeys).toHaveLength(2)
    for (const file of ['ed25519.skey', 'ml-dsa-44.skey']) {
      expect((await stat(join(folder, file))).mode % 0o1000).toBe(0o600)
    }
    await expect(createWitness(folder, NAME, ED)).rejects.toMatchObject({ code: 'already_exists' })
    const other = testFolder()
    await writeFile(join(other, 'mine'), 'x')
    await expect(createWitness(other, NAME, ED)).rejects.toMatchObject({ code: 'foreign_format' })
    expect(await readdir(other)).toEqual(['mine'])
  })

  test('remembers what was cosigned, and goes on from there', async () => {
    const folder = await folderWithLog()
    const first = await start(folder)
    expect((await first.http.post('/add-checkpoint', await log.request(0, 7))).status).toBe(200)
    await first.close()
    // The clock went back while it was down.
    const second = await start(folder, () => 1000)
    expect((await second.http.post('/add-checkpoint', await log.request(0, 12))).text).toBe('7\n')
    expect((await second.http.post('/add-checkpoint', await log.fork(3).request(7, 12))).status).toBe(422)
    expect((await second.http.post('/add-checkpoint', await log.request(7, 12))).status).toBe(200)
    expect(second.witness.head(originHash(log.origin))?.timestampSeconds).toBe(NOW_SECONDS)
  })

  test.each<[string, (folder: string) => Promise<unknown>, string]>([
    ['is none', (folder) => rm(join(folder, 'witness.json')), 'not_initialised'],
    [
      'is of a later version',
      (folder) => edit(join(folder, 'witness.json'), '"version": 1', '"version": 2'),
      'foreign_format',
    ],
    ['has no key', (folder) => rm(join(folder, 'ed25519.skey')), 'key_missing'],
    [
      'has a key that others can read',
      (folder) => chmod(join(folder, 'ed25519.skey'), 0o644),
      'key_permissions',
    ],
    ['has another key', (folder) => otherKey(folder), 'wrong_key'],
    ['has no list of logs', (folder) => rm(join(folder, 'logs.json')), 'not_initialised'],
    ['has a list that is no JSON', (folder) => writeFile(join(folder, 'logs.json'), '{'), 'usage'],
    ['has a list with a key that is none', (folder) => edit(join(folder, 'logs.json'), vkey, 'x'), 'usage'],
    ['has no database', (folder) => rm(join(folder, 'database'), { recursive: true }), 'not_initialised'],
    ['has no head file', (folder) => rm(join(folder, 'head')), 'head_missing'],
  ])('that %s is not opened', async (_, spoil, code) => {
    const folder = await folderWithLog()
    await spoil(folder)
    await expect(start(folder)).rejects.toMatchObject({ code })
  })

  test('that is open is not opened again, in this process or another', async () => {
    const folder = await folderWithLog()
    await start(folder)
    await expect(start(folder)).rejects.toMatchObject({ code: 'locked' })
  })
})

async function edit(path: string, from: string, to: string): Promise<void> {
  const text = await readFile(path, 'utf8')
  expect(text).toContain(from)
  await writeFile(path, text.replace(from, to))
}

async function otherKey(folder: string): Promise<void> {
  const other = join(testFolder(), 'other')
  await createWitness(other, NAME, ED)
  await writeFile(join(folder, 'ed25519.skey'), await readFile(join(other, 'ed25519.skey')))
}

describe('the list of logs', () => {
  test('gets logs and further keys of logs, and no key twice', async () => {
    const path = witnessFiles(await folderWithLog()).logs
    const second = testSigner(log.origin, 2).verifier
    await addToLogList(path, [], { origin: log.origin, keys: [second] })
    await addToLogList(path, [], {
      origin: 'go.sum database tree',
      keys: [testSigner('sum.example', 3).verifier],
    })
    const logs = await readLogList(path, [])
    expect(logs.map(({ origin, keys }) => [origin, keys.length])).toEqual([
      [log.origin, 2],
      ['go.sum database tree', 1],
    ])
    await expect(addToLogList(path, [], log.asWitnessed)).rejects.toMatchObject({ code: 'already_exists' })
    await expect(readFile(`${path}.part`)).rejects.toThrow('ENOENT')
  })

  test('does not lose one of two logs that are added at once', async () => {
    const path = witnessFiles(await folderWithLog()).logs
    const adding = ['a', 'b', 'c', 'd'].map((name, i) =>
      addToLogList(path, [], { origin: name, keys: [testSigner(name, 10 + i).verifier] }).then(
        () => name,
        (error: { code: string }) => error.code,
      ),
    )
    const added = (await Promise.all(adding)).filter((name) => name.length === 1)
    const logs = await readLogList(path, [])
    expect(logs.map(({ origin }) => origin).toSorted()).toEqual([...added, log.origin].toSorted())
  })
})

describe('evidence', () => {
  test('is a file that a third party can read, kept once, and counted after a restart', async () => {
    const folder = await folderWithLog()
    const fork = log.fork(3)
    const first = await start(folder)
    await first.http.post('/add-checkpoint', await log.request(0, 7))
    await first.http.post('/add-checkpoint', await fork.request(7, 7))
    await first.http.post('/add-checkpoint', await fork.request(7, 7))
    await first.close()
    const second = await start(folder)
    await second.http.post('/add-checkpoint', await fork.request(7, 7))
    const { evidence } = witnessFiles(folder)
    const [file, ...more] = await readdir(evidence)
    expect(more).toEqual([])
    const text = await readFile(join(evidence, file!), 'utf8')
    const [heldAt, seenAt] = [NOW_SECONDS, NOW_SECONDS].map((seconds) =>
      new Date(seconds * 1000).toISOString(),
    )
    expect(parseEvidence(text)).toMatchObject({
      kind: 'fork',
      origin: log.origin,
      keys: [vkey],
      heads: [
        { seenAt: heldAt, note: expect.stringContaining(await log.checkpoint(7)) as string },
        { seenAt, note: await fork.checkpoint(7) },
      ],
    })
    expect(judged(text)).toMatchObject({ verdict: 'proven', kind: 'fork', sizes: [7, 7], notProven: [] })
    expect((await second.http.get('/metrics')).text).toMatch(
      /contradictions_total\{.*kind="fork",evidence="known"\} 1/,
    )
  })

  test('is confirmed offline: a fork at two sizes and an impossible root hash are proven, a wrong proof is not', async () => {
    const folder = await folderWithLog()
    const { http } = await start(folder)
    const fork = log.fork(3)
    const empty = formatCheckpoint({ origin: log.origin, size: 0, root: log.root(1) })
    for (const body of [
      addCheckpoint(0, [], await signNote(empty, log.signers)),
      await log.request(0, 7),
      addCheckpoint(7, fork.proof(7, 12), await fork.checkpoint(12)),
      addCheckpoint(7, [log.root(1)], await log.checkpoint(11)),
    ]) {
      await http.post('/add-checkpoint', body)
    }
    const { evidence } = witnessFiles(folder)
    const texts = await Promise.all(
      (await readdir(evidence)).map((name) => readFile(join(evidence, name), 'utf8')),
    )
    const verdicts = texts
      .map((text) => judged(text))
      .map((result) => `${result.verdict} ${'kind' in result ? result.kind : ''}`)
    expect(verdicts.toSorted()).toEqual(['needs_log unproven', 'proven empty_root', 'proven fork'])
    const stranger = testSigner(log.origin, 9).verifier
    for (const text of texts) {
      expect(formatEvidence(parseEvidence(text))).toBe(text)
      expect(judged(text, stranger)).toMatchObject({ verdict: 'untrusted_signer' })
      expect(
        judged(text.replace(/\\n[A-Za-z0-9+/]{43}=\\n\\n/, `\\n${'A'.repeat(43)}=\\n\\n`)),
      ).toMatchObject({
        verdict: 'bad_signature',
      })
    }
  })

  test('is bounded for each kind and log, so that wrong proofs do not crowd out forks', async () => {
    const folder = join(testFolder(), 'evidence')
    const keeper = await EvidenceFolder.open(folder)
    const held = await log.checkpoint(1)
    const request = { oldSize: 1, path: [] }
    const keep = async (kind: 'fork' | 'inconsistent', size: number): Promise<string> =>
      keeper.keep({
        kind,
        log: log.asWitnessed,
        held,
        heldAtMs: 0,
        suspect: await log.checkpoint(size, { extensions: [`${size}`] }),
        request,
        seenAtMs: 0,
      })
    const kept = []
    for (let i = 0; i < 103; i++) {
      const suspect = await log.checkpoint(2, { extensions: [`${i}`] })
      kept.push(
        await keeper.keep({
          kind: 'inconsistent',
          log: log.asWitnessed,
          held,
          heldAtMs: 0,
          suspect,
          request,
          seenAtMs: 0,
        }),
      )
    }
    expect(kept).toEqual([...Array<string>(100).fill('kept'), ...Array<string>(3).fill('full')])
    expect(await keep('fork', 3)).toBe('kept')
    expect(await Promise.all([keep('fork', 4), keep('fork', 4)])).toEqual(['kept', 'known'])
    expect(await listEvidence(folder)).toHaveLength(102)
  }, 30_000)
})

describe('the command line', () => {
  const run = (data: string, ...args: string[]) => stele(['witness', ...args, '--data', data])

  test('makes a witness, adds logs, and lists them with what was cosigned', async () => {
    const data = join(testFolder(), 'w')
    const made = await run(data, 'init', '--name', NAME, '--json')
    const { verifierKeys } = JSON.parse(made.out) as { verifierKeys: string[] }
    expect(verifierKeys.map((key) => key.split('+')[0])).toEqual([NAME, NAME])
    expect((await run(data, 'init', '--name', NAME)).code).toBe(3)
    expect(await run(data, 'add-log', vkey)).toMatchObject({ code: 0, out: `${log.origin}\n` })
    expect((await run(data, 'add-log', vkey)).code).toBe(3)
    expect(await run(data, 'list')).toMatchObject({ code: 0, out: `${log.origin}\tsize 0\n` })
    const running = await start(data)
    await running.http.post('/add-checkpoint', await log.request(0, 7))
    expect((await run(data, 'list')).out).toBe(`${log.origin}\tsize 7\t2025-06-15T15:06:40.000Z\n`)
    await running.close()
    const listed = JSON.parse((await run(data, 'list', '--json')).out) as object[]
    expect(listed).toEqual([
      {
        origin: log.origin,
        verifierKeys: [vkey],
        originHash: originHash(log.origin),
        treeSize: 7,
        cosignedAtSeconds: NOW_SECONDS,
        evidenceFiles: 0,
      },
    ])
  })

  test('serves until it is told to stop', async () => {
    const data = await folderWithLog()
    let stop = (): void => {}
    const ran = await stele(
      ['witness', 'serve', '--data', data, '--port', '0', '--log-level', 'silent', '--json'],
      {
        onStop: (signal) => (stop = signal),
        onOut: () => stop(),
      },
    )
    expect(ran.code).toBe(0)
    expect(JSON.parse(ran.out)).toMatchObject({
      url: expect.stringMatching(/^http:/) as string,
      data,
      logs: [log.origin],
    })
  })

  test.each([
    [['init'], 2],
    [['init', '--name', 'a b'], 2],
    [['init', '--name', 'x', '--only', 'rsa'], 2],
    [['add-log', 'nonsense'], 2],
    [['add-log'], 2],
    [['add-log', vkey], 30],
    [['list'], 30],
    [['serve', '--port', 'x'], 2],
    [['serve', '--port', '0'], 30],
  ])('%j on nothing ends with %i', async (args, code) => {
    const data = join(testFolder(), 'nothing')
    const ran = await run(data, ...args)
    expect([ran.code, ran.out]).toEqual([code, ''])
    expect(await readdir(join(data, '..'))).toEqual([])
  })

  test('a key of the witness itself, and keys of two names, are not added', async () => {
    const data = join(testFolder(), 'w')
    const [ed25519 = '', mlDsa = ''] = (await run(data, 'init', '--name', NAME)).out.trim().split('\n')
    expect((await run(data, 'add-log', mlDsa)).code).toBe(2)
    expect((await run(data, 'add-log', ed25519)).code).toBe(2)
    const other = formatVerifierKey(testSigner('log.example/other', 4).verifier)
    expect((await run(data, 'add-log', vkey, other)).code).toBe(2)
    expect((await run(data, 'add-log', vkey, other, '--origin', 'both')).code).toBe(0)
  })

  test('options come from flags and variables, and mistakes are told together', () => {
    const env = { STELE_WITNESS_PORT: '7000', STELE_WITNESS_BODY_BYTES: '0x10' }
    expect(witnessOptions.load({ env: { STELE_WITNESS_PORT: '7000' } }).port).toBe(7000)
    expect(witnessOptions.load({ flags: { port: '1' }, env: { STELE_WITNESS_PORT: '7000' } }).port).toBe(1)
    const load = (): unknown => witnessOptions.load({ flags: { 'request-burst': 'many' }, env })
    expect(load).toThrow(/STELE_WITNESS_BODY_BYTES: .*\n {2}--request-burst: /)
  })
})

/** What `stele verify --evidence` says to a file. */
function judged(evidence: string, key = log.asWitnessed.keys[0]!): ReturnType<typeof verifyEvidence> {
  return verifyEvidence({ evidence, origin: log.origin, verifierKeys: [key] })
}
