import { chmod, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { KEY_TYPE } from '../../src/note/key-id.ts'
import { formatVerifierKey, generateSigningKey } from '../../src/note/key.ts'
import type { RunningCosigner } from '../../src/witness/cosigner-start.ts'
import { addToLogList, dropFromLogList } from '../../src/witness/log-list.ts'
import { copyPaths, createMirror, makeCopy, mirrorFiles, mirrorOptions } from '../../src/mirror/config.ts'
import { startMirror, type RunningMirror } from '../../src/mirror/start.ts'
import { witnessOptions } from '../../src/witness/cosigner-config.ts'
import { createWitness, witnessFiles } from '../../src/witness/cosigner-folder.ts'
import { startWitness } from '../../src/witness/start.ts'
import { originHash } from '../../src/witness/logs.ts'
import { FakeLog as TiledLog } from '../client/fake-log.ts'
import { OCTETS } from '../mirror/server.ts'
import { TestServer } from '../http/server.ts'
import { asMirrored, checkpointBody, uploadBody } from '../mirror/fixture.ts'
import { testFolder } from '../support/folder.ts'
import { listenInTest } from '../support/listen.ts'
import { FakeLog, testSigner } from './fake-log.ts'

const ED = [KEY_TYPE.ed25519Cosignature]
const TOKEN = 'AbCdEfGhIjKlMnOpQrStUvWx'
const BEARER = { authorization: `Bearer ${TOKEN}` }
const [a, b] = [new FakeLog('log.example/a', 40), new FakeLog('log.example/b', 40)]
const vkeyOf = (log: FakeLog): string => formatVerifierKey(log.signers[0]!.verifier)

interface Running<R extends RunningCosigner = RunningCosigner> {
  readonly running: R
  readonly http: TestServer
  readonly lines: Record<string, unknown>[]
  readonly close: () => Promise<void>
}

function serving<R extends RunningCosigner>(running: R, lines: Record<string, unknown>[]): Running<R> {
  let closed: Promise<void> | undefined
  const close = (): Promise<void> => (closed ??= running.close())
  onTestFinished(close)
  return { running, lines, close, http: new TestServer(Number(new URL(running.url).port)) }
}

function logger(lines: Record<string, unknown>[]): pino.Logger {
  return pino({}, { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) })
}

async function witnessFolder(...logs: readonly FakeLog[]): Promise<string> {
  const folder = join(testFolder(), 'w')
  await createWitness(folder, 'witness.example/w1', ED)
  for (const log of logs) await addToLogList(witnessFiles(folder).logs, [], log.asWitnessed)
  return folder
}

async function tokenFile(): Promise<string> {
  const path = join(testFolder(), 'token')
  await writeFile(path, `${TOKEN}\n`, { mode: 0o600 })
  return path
}

async function runWitness(folder: string, flags: Record<string, unknown> = {}): Promise<Running> {
  const lines: Record<string, unknown>[] = []
  const config = witnessOptions.load({ flags: { data: folder, port: 0, ...flags } })
  return serving(await startWitness(config, logger(lines)), lines)
}

async function runMirror(
  folder: string,
  flags: Record<string, unknown> = {},
): Promise<Running<RunningMirror>> {
  const lines: Record<string, unknown>[] = []
  const config = mirrorOptions.load({ flags: { data: folder, port: 0, ...flags } })
  return serving(await startMirror(config, logger(lines)), lines)
}

const signs = async ({ http }: Running, log: FakeLog, from: number, to: number): Promise<number> =>
  (await http.post('/add-checkpoint', await log.request(from, to))).status

const said = ({ lines }: Running, words: string): unknown[] =>
  lines.filter(({ msg }) => String(msg).includes(words)).map(({ origin }) => origin)

async function until(is: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await is())) await new Promise((resolve) => setTimeout(resolve, 20))
}

test('a witness reads its list again, and what it cosigned binds it when a log comes back', async () => {
  const folder = await witnessFolder(a)
  const { logs } = witnessFiles(folder)
  const witness = await runWitness(folder)
  expect(await signs(witness, a, 0, 10)).toBe(200)
  expect(await signs(witness, b, 0, 10)).toBe(404)
  await addToLogList(logs, [], b.asWitnessed)
  await dropFromLogList(logs, [], a.origin)
  await witness.running.reload()
  expect([await signs(witness, a, 10, 12), await signs(witness, b, 0, 10)]).toEqual([404, 200])
  expect(witness.running.logs.map(({ origin }) => origin)).toEqual([b.origin])
  expect([said(witness, 'log added'), said(witness, 'log dropped')]).toEqual([[b.origin], [a.origin]])
  // Readers still find what was said about it.
  expect((await witness.http.get(`/${originHash(a.origin)}/checkpoint`)).status).toBe(200)

  await addToLogList(logs, [], a.asWitnessed)
  await witness.running.reload()
  expect((await witness.http.post('/add-checkpoint', await a.request(0, 12))).text).toBe('10\n')
  expect(await signs(witness, a.fork(3), 10, 12)).toBe(422)
  expect(await signs(witness, a, 10, 12)).toBe(200)
})

test.each([
  ['is no JSON', () => '{'],
  ['has a log twice', (text: string) => text.replace('log.example/b', 'log.example/a')],
  ['is empty', () => ''],
  ['has a key that is none', (text: string) => text.replace(/"log\.example\/b\+[^"]*"/, '"nonsense"')],
])('a list that %s changes nothing, and the log of the witness says so', async (_, spoil) => {
  const folder = await witnessFolder(a, b)
  const witness = await runWitness(folder)
  const { logs } = witnessFiles(folder)
  await writeFile(logs, spoil(await readFile(logs, 'utf8')))
  await witness.running.reload()
  expect([await signs(witness, a, 0, 5), await signs(witness, b, 0, 5)]).toEqual([200, 200])
  expect(said(witness, 'CANNOT BE USED')).toHaveLength(1)
})

test('logs are listed, added and dropped over HTTP by those who show the token, and by no others', async () => {
  const folder = await witnessFolder(a)
  const witness = await runWitness(folder, { 'admin-token-file': await tokenFile() })
  const { http } = witness
  const add = JSON.stringify({ verifierKeys: [vkeyOf(b)] })
  for (const headers of [{}, { authorization: 'Bearer ' }, { authorization: `Bearer ${TOKEN}x` }]) {
    expect((await http.post('/v1/logs', add, headers)).status).toBe(401)
    expect((await http.post('/v1/logs/drop', JSON.stringify({ origin: a.origin }), headers)).status).toBe(401)
    expect((await http.get('/v1/logs', headers)).status).toBe(401)
  }
  expect(await signs(witness, b, 0, 5)).toBe(404)

  const added = await http.post('/v1/logs', add, BEARER)
  expect([added.status, added.json()]).toEqual([201, { origin: b.origin, verifierKeys: [vkeyOf(b)] }])
  expect(await signs(witness, b, 0, 5)).toBe(200)
  const again = await http.post('/v1/logs', add, BEARER)
  expect([again.status, again.text.includes(folder)]).toEqual([409, false])
  const listed = await http.get('/v1/logs', BEARER)
  expect(listed.json()['logs']).toMatchObject([{ origin: a.origin, list: 'logs.json' }, { origin: b.origin }])
  expect(listed.headers['access-control-allow-origin']).toBeUndefined()
  expect((await http.ask('/v1/logs', { method: 'DELETE', headers: BEARER })).status).toBe(405)

  const drop = JSON.stringify({ origin: a.origin })
  expect((await http.post('/v1/logs/drop', drop, BEARER)).status).toBe(204)
  expect((await http.post('/v1/logs/drop', drop, BEARER)).status).toBe(404)
  expect(await signs(witness, a, 0, 5)).toBe(404)
  // The list on the disk says the same, so that a restart changes nothing.
  await witness.close()
  const second = await runWitness(folder)
  expect(second.running.logs.map(({ origin }) => origin)).toEqual([b.origin])
})

test.each([
  [{ verifierKeys: ['nonsense'] }, 400],
  [{ verifierKeys: [] }, 400],
  [{ verifierKeys: [vkeyOf(b)], url: 'https://log.example/b' }, 400],
  [{ verifierKeys: [vkeyOf(a), vkeyOf(b)] }, 400],
  [{ verifierKeys: [vkeyOf(b)], apiKeyFile: '/etc/passwd' }, 400],
])('a log that a witness cannot have is refused over HTTP, and changes nothing: %j', async (body, status) => {
  const folder = await witnessFolder(a)
  const witness = await runWitness(folder, { 'admin-token-file': await tokenFile() })
  const before = await readFile(witnessFiles(folder).logs, 'utf8')
  expect((await witness.http.post('/v1/logs', JSON.stringify(body), BEARER)).status).toBe(status)
  expect(await readFile(witnessFiles(folder).logs, 'utf8')).toBe(before)
})

test('without a token file there are no such routes; a token that others can read, or guess, is refused', async () => {
  const folder = await witnessFolder(a)
  const witness = await runWitness(folder)
  expect((await witness.http.get('/v1/logs', BEARER)).status).toBe(404)
  await witness.close()
  const path = await tokenFile()
  await chmod(path, 0o644)
  await expect(runWitness(folder, { 'admin-token-file': path })).rejects.toMatchObject({
    code: 'key_permissions',
  })
  await chmod(path, 0o600)
  await writeFile(path, 'secret')
  await expect(runWitness(folder, { 'admin-token-file': path })).rejects.toMatchObject({ code: 'usage' })
})

/** A list as its publisher serves it, which may change. */
async function published(): Promise<{ url: string; text: string | undefined; asked: number }> {
  const list = { url: '', text: '' as string | undefined, asked: 0 }
  const server = createServer((_, res) => {
    list.asked++
    res.statusCode = list.text === undefined ? 500 : 200
    res.end(list.text ?? '')
  })
  list.url = `http://127.0.0.1:${await listenInTest(server)}/log-list.1`
  return list
}

const listOf = (...vkeys: string[]): string =>
  `logs/v0\n${vkeys.map((vkey) => `vkey ${vkey}\nqpd 10\ncontact c\n`).join('')}`

test('a witness follows a published list, keeps it over a restart, and no failure of it changes anything', async () => {
  const folder = await witnessFolder(a)
  const list = await published()
  list.text = listOf(vkeyOf(b), 'rekor.example+00000000+Zg==')
  const flags = { 'log-list': list.url, 'log-list-seconds': 0.05 }
  const witness = await runWitness(folder, flags)
  await until(async () => (await signs(witness, b, 0, 5)) === 200)
  expect(await signs(witness, a, 0, 5)).toBe(200)
  expect(witness.lines.find(({ skipped }) => skipped !== undefined)).toMatchObject({
    skipped: [expect.stringContaining('rekor.example')],
  })
  for (const text of [undefined, '<html>', listOf('x').replace('qpd', 'qpm')]) {
    const before = said(witness, 'the followed list CANNOT BE USED').length
    list.text = text
    await until(() => said(witness, 'the followed list CANNOT BE USED').length > before)
    expect(await signs(witness, b, 5, 5)).toBe(200)
  }
  await witness.close()

  // Its publisher is down while the witness starts.
  const second = await runWitness(folder, flags)
  expect(await signs(second, b, 5, 6)).toBe(200)
  list.text = listOf()
  await until(async () => (await signs(second, b, 6, 6)) === 404)
  expect(await signs(second, a, 5, 6)).toBe(200)
  // What the operator lists is not the publisher's to change.
  list.text = listOf(formatVerifierKey(testSigner(a.origin, 9).verifier), vkeyOf(b))
  await until(async () => (await second.http.post('/add-checkpoint', await b.request(0, 7))).text === '6\n')
  expect(await signs(second, a, 6, 7)).toBe(200)
})

async function mirrorFolder(...logs: readonly TiledLog[]): Promise<string> {
  const folder = join(testFolder(), 'm')
  await createMirror(folder, 'mirror.example/m1', ED)
  for (const log of logs) {
    await makeCopy(folder, log.origin)
    await addToLogList(mirrorFiles(folder).logs, [], asMirrored(log), 'mirror')
  }
  return folder
}

test('a mirror takes a log in, drops it under an upload that goes on, and takes it back with what it had', async () => {
  const log = await TiledLog.create(700)
  const folder = await mirrorFolder()
  const mirror = await runMirror(folder, { 'admin-token-file': await tokenFile() })
  const { http } = mirror
  const place = `/${originHash(log.origin)}/checkpoint`
  const add = JSON.stringify({ verifierKeys: [formatVerifierKey(log.key.verifier)] })
  expect((await http.post('/v1/logs', add, BEARER)).status).toBe(201)
  expect((await http.post('/add-checkpoint', await checkpointBody(log, 0, 700))).status).toBe(200)

  // The head of the upload and a part of its first package; the rest comes when the log is not on the list any more.
  const body = await uploadBody(log, { end: 700 })
  const socket = await http.connect()
  const head = `POST /add-entries HTTP/1.1\r\nHost: x\r\nContent-Type: ${OCTETS['content-type']}\r\n`
  socket.socket.write(`${head}Content-Length: ${body.length}\r\nConnection: close\r\n\r\n`)
  socket.socket.write(body.subarray(0, 5000))
  const copy = mirror.running.mirror.get(originHash(log.origin))!
  await until(() => copy.isHeld)
  expect((await http.post('/v1/logs/drop', JSON.stringify({ origin: log.origin }), BEARER)).status).toBe(204)
  expect((await http.get(place)).status).toBe(404)
  socket.socket.write(body.subarray(5000))
  expect(await socket.closed).toMatch(/^HTTP\/1\.1 200 /)
  expect(copy.nextEntry).toBe(700)

  expect((await http.post('/v1/logs', add, BEARER)).status).toBe(201)
  expect((await http.get(place)).text).toContain('\n700\n')
  expect((await http.post('/add-checkpoint', await checkpointBody(log, 0, 700))).text).toBe('700\n')
})

test('a mirror follows a log from the moment its URL is listed, and no longer than it is', async () => {
  const log = await TiledLog.create(300)
  const asked = { count: 0 }
  const server = createServer((req, res) => {
    asked.count++
    const bytes = log.file(req.url!.slice(1))
    res.statusCode = bytes ? 200 : 404
    res.end(bytes)
  })
  const url = `http://127.0.0.1:${await listenInTest(server)}/`
  const folder = await mirrorFolder(log)
  const { logs } = mirrorFiles(folder)
  const mirror = await runMirror(folder, { 'poll-seconds': 0.02 })
  await addToLogList(logs, [], { ...asMirrored(log), url }, 'mirror')
  await mirror.running.reload()
  expect(said(mirror, 'log changed')).toEqual([log.origin])
  const place = `/${originHash(log.origin)}/checkpoint`
  await until(async () => (await mirror.http.get(place)).text.includes('\n300\n'))

  await dropFromLogList(logs, [], log.origin, 'mirror')
  await mirror.running.reload()
  const then = asked.count
  expect((await mirror.http.get(place)).status).toBe(404)
  await addToLogList(logs, [], asMirrored(log), 'mirror')
  await mirror.running.reload()
  expect([(await mirror.http.get(place)).status, asked.count]).toEqual([200, then])
})

test('a mirror has copies of what a published list names, and keeps them when the list drops them', async () => {
  const log = await TiledLog.create(300)
  const server = createServer((req, res) => {
    const bytes = log.file(req.url!.slice(1))
    res.statusCode = bytes ? 200 : 404
    res.end(bytes)
  })
  const url = `http://127.0.0.1:${await listenInTest(server)}/`
  const list = await published()
  const yaml = `Logs:\n  - PublicKey: ${formatVerifierKey(log.key.verifier)}\n    URL: ${url}\n    Feeder: tiles\n`
  list.text = yaml
  const folder = await mirrorFolder()
  const flags = { 'log-list': list.url, 'log-list-seconds': 0.05, 'poll-seconds': 0.02 }
  const first = await runMirror(folder, flags)
  const served = async ({ http }: Running): Promise<string> =>
    (await http.get(`/${originHash(log.origin)}/checkpoint`)).text.split('\n')[1] ?? ''
  await until(async () => (await served(first)) === '300')
  await first.close()

  list.text = undefined
  const second = await runMirror(folder, flags)
  expect(await served(second)).toBe('300')
  list.text = 'Logs: []\n'
  await until(async () => (await served(second)) === '')
  list.text = yaml
  await until(async () => (await served(second)) === '300')
})

test('a copy that cannot be opened does not keep the others from being served, and is tried again with the list', async () => {
  const [broken, good] = [new TiledLog(), await TiledLog.create(20)]
  broken.origin = 'log.example/broken'
  broken.key = generateSigningKey(broken.origin)
  await broken.add(Array.from({ length: 10 }, (_, i) => `entry ${i}`))
  const folder = await mirrorFolder(broken, good)
  const { headFile } = copyPaths(folder, broken.origin)
  await rename(headFile, `${headFile}-away`)
  const mirror = await runMirror(folder)
  const { http } = mirror
  expect((await http.post('/add-checkpoint', await checkpointBody(good, 0, 20))).status).toBe(200)
  const refused = await http.post('/add-checkpoint', await checkpointBody(broken, 0, 10))
  const place = await http.get(`/${originHash(broken.origin)}/checkpoint`)
  const ready = await http.get('/readyz')
  expect([refused.status, place.status, ready.status]).toEqual([500, 500, 503])
  expect([refused.json()['code'], place.json()['code']]).toEqual(['head_missing', 'head_missing'])
  expect(ready.text).toContain('the second copy of the last signed head is not there')
  expect((await http.get('/metrics')).text).toContain(`stele_mirror_taking{origin="${broken.origin}"} 0`)

  await mirror.running.reload()
  expect((await http.get('/readyz')).status).toBe(503)
  await rename(`${headFile}-away`, headFile)
  await mirror.running.reload()
  expect((await http.get('/readyz')).status).toBe(200)
  expect((await http.post('/add-checkpoint', await checkpointBody(broken, 0, 10))).status).toBe(200)
})

test('a mirror of which no copy can be opened does not start', async () => {
  const log = await TiledLog.create(10)
  const folder = await mirrorFolder(log)
  await rm(copyPaths(folder, log.origin).headFile)
  await expect(runMirror(folder)).rejects.toMatchObject({ code: 'head_missing' })
})

test('a key that has signed what is stored cannot be taken off the list of a mirror that runs', async () => {
  const log = await TiledLog.create(10)
  const folder = await mirrorFolder(log)
  const mirror = await runMirror(folder)
  await mirror.http.post('/add-checkpoint', await checkpointBody(log, 0, 10))
  const { logs } = mirrorFiles(folder)
  const text = await readFile(logs, 'utf8')
  const other = formatVerifierKey(testSigner(log.origin, 9).verifier)
  await writeFile(logs, text.replace(formatVerifierKey(log.key.verifier), other))
  await mirror.running.reload()
  expect(said(mirror, 'CANNOT BE USED')).toHaveLength(1)
  expect((await mirror.http.post('/add-checkpoint', await checkpointBody(log, 10, 10))).status).toBe(200)
})
