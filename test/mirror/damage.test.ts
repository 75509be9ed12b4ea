import { createServer } from 'node:http'
import { join } from 'node:path'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import type { ScrubClock } from '../../src/scrub/scrub-options.ts'
import { generateSigningKey } from '../../src/note/key.ts'
import { KEY_TYPE } from '../../src/note/key-id.ts'
import { addToLogList } from '../../src/witness/log-list.ts'
import { copyPaths, createMirror, makeCopy, mirrorFiles, mirrorOptions } from '../../src/mirror/config.ts'
import { startMirror, type RunningMirror } from '../../src/mirror/start.ts'
import { SteleError } from '../../src/errors.ts'
import { createMirrorStore } from '../../src/mirror/open.ts'
import { MemoryStore } from '../../src/storage/memory.ts'
import type { LogStore } from '../../src/storage/store.ts'
import { Rot } from '../scrub/fixture.ts'
import { originHash } from '../../src/witness/logs.ts'
import { FakeLog } from '../client/fake-log.ts'
import { OCTETS } from './server.ts'
import { TestServer, type Reply } from '../http/server.ts'
import { alterRecord, ENTRY } from '../storage/database.ts'
import { testFolder } from '../support/folder.ts'
import { listenInTest } from '../support/listen.ts'
import { asMirrored, checkpointBody, testMirror, uploadBody } from './fixture.ts'

/** A log of this many entries under an origin of its own. */
async function logOf(origin: string, size: number): Promise<FakeLog> {
  const log = new FakeLog()
  log.origin = origin
  log.key = generateSigningKey(origin, new Uint8Array(32).fill(origin.length))
  await log.add(texts(0, size))
  return log
}

function texts(begin: number, end: number): string[] {
  return Array.from({ length: end - begin }, (_, i) => `entry ${begin + i}`)
}

/** Serves a log as files, as it grows. */
async function serveFiles(log: FakeLog, hides: (path: string) => boolean): Promise<string> {
  const server = createServer((req, res) => {
    const path = req.url!.slice(1)
    const bytes = hides(path) ? undefined : log.file(path)
    res.statusCode = bytes ? 200 : 404
    res.end(bytes)
  })
  return `http://127.0.0.1:${await listenInTest(server)}/`
}

/** A mirror folder with these logs on its list. */
async function mirrorOf(logs: readonly (readonly [log: FakeLog, url?: string])[]): Promise<string> {
  const folder = join(testFolder(), 'm')
  await createMirror(folder, 'mirror.example/m1', [KEY_TYPE.ed25519Cosignature])
  for (const [log, url] of logs) {
    await makeCopy(folder, log.origin)
    await addToLogList(mirrorFiles(folder).logs, [], { ...asMirrored(log), url }, 'mirror')
  }
  return folder
}

/** Sleeping moves it, and ends at once. */
function sleeplessClock(): ScrubClock {
  let ms = Date.now()
  return {
    nowMs: () => ms,
    async sleep(forMs) {
      ms += forMs
      await new Promise((resolve) => setImmediate(resolve))
    },
  }
}

type Running = RunningMirror & { http: TestServer }

async function start(folder: string): Promise<Running> {
  const config = mirrorOptions.load({ flags: { data: folder, port: 0, 'poll-seconds': 0.05 } })
  const running = await startMirror(config, pino({ level: 'silent' }), Date.now, sleeplessClock())
  let closed: Promise<void> | undefined
  const close = (): Promise<void> => (closed ??= running.close())
  onTestFinished(close)
  return { ...running, close, http: new TestServer(Number(new URL(running.url).port)) }
}

/** Asks until the answer is as expected; the test's own time limit ends what never comes. */
async function until<T>(ask: () => Promise<T>, isIt: (answer: T) => boolean): Promise<T> {
  for (;;) {
    const answer: T = await ask()
    if (isIt(answer)) return answer
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

async function sizeServed({ http }: Running, { origin }: FakeLog): Promise<number> {
  const { status, text } = await http.get(`/${originHash(origin)}/checkpoint`)
  return status === 200 ? Number(text.split('\n')[1]) : 0
}

async function upload({ http }: Running, log: FakeLog, start: number, packages?: number): Promise<number> {
  const body = await uploadBody(log, { start, end: log.tree.size, ...(packages ? { packages } : {}) })
  return (await http.post('/add-entries', body, OCTETS)).status
}

test('a mirror does not cosign a range of which an entry is not what it took in, and the other logs go on', async () => {
  const [rotten, good] = [await logOf('log.example/rotten', 700), await logOf('log.example/good', 700)]
  const folder = await mirrorOf([[rotten], [good]])
  const first = await start(folder)
  for (const log of [rotten, good]) {
    expect((await first.http.post('/add-checkpoint', await checkpointBody(log, 0, 700))).status).toBe(200)
    expect(await upload(first, log, 0, 2)).toBe(202)
  }
  await first.close()
  await alterRecord(copyPaths(folder, rotten.origin).database, 300, ENTRY, () => Buffer.from('forged'))

  const second = await start(folder)
  expect(await upload(second, rotten, 512)).toBe(500)
  expect(await upload(second, good, 512)).toBe(200)
  expect([await sizeServed(second, rotten), await sizeServed(second, good)]).toEqual([0, 700])
  const ready = await second.http.get('/readyz')
  expect([ready.status, ready.text]).toEqual([503, expect.stringContaining('entry 300')])
  expect(ready.text).toContain('log.example/rotten')
  // Asked for once more, with nothing to send, it is refused once more.
  expect(await upload(second, rotten, 700)).toBe(500)
})

test.each([
  ['tile 0/1', 'tile 0/1'],
  ['entry 511', 'entry 511'],
  ['head of size 700', 'head of size 700'],
])('%s is read back past the caches before anything is cosigned', async (place, named) => {
  const source = await logOf('log.example/rotten', 700)
  const rot = new Rot()
  const store = new MemoryStore()
  await createMirrorStore(store)
  const unread = new SteleError('io_error', 'reading failed')
  const { log, mirror } = await testMirror(asMirrored(source), {
    store: rot.around(store, unread) as LogStore,
  })
  await mirror.addCheckpoint(await checkpointBody(source, 0, 700))
  await log.append(0, source.entries)
  rot.flip(place, 5)
  await expect(log.advance(log.pending!)).rejects.toMatchObject({ code: 'corrupt' })
  expect(log.damage?.message).toContain(named)
  expect(log.state.mirrored).toBeUndefined()
  rot.heal()
  // A disk that does not answer says nothing of what it holds, and is not cosigned on either.
  rot.failing = 1
  await expect(log.advance(log.pending!)).rejects.toBe(unread)
  expect((await log.advance(log.pending!))?.checkpoint.size).toBe(700)
  expect(log.damage).toBeUndefined()
  // The next checkpoint is not read for from the beginning.
  rot.reads = []
  await source.add(texts(700, 710))
  await mirror.addCheckpoint(await checkpointBody(source, 700, 710))
  await log.append(700, source.entries.slice(700))
  await log.advance(log.pending!)
  expect(rot.reads).toContain('entry 700')
  expect(rot.reads).not.toContain('entry 511')
})

test('what rots below the mirror checkpoint stops cosigning until the log has given it again', async () => {
  const log = await logOf('log.example/rotten', 600)
  let hidden = true
  const url = await serveFiles(log, (path) => hidden && path.startsWith('tile/entries/000'))
  const folder = await mirrorOf([[log, url]])
  hidden = false
  const first = await start(folder)
  await until(
    () => sizeServed(first, log),
    (size) => size === 600,
  )
  await first.close()
  const { database } = copyPaths(folder, log.origin)
  await alterRecord(database, 20, ENTRY, () => Buffer.from('forged'))

  hidden = true
  const second = await start(folder)
  const readyz = (): Promise<Reply> => second.http.get('/readyz')
  const ready = await until(readyz, ({ status }) => status === 503)
  expect(ready.text).toMatch(/log\.example\/rotten: .*entry 20/)
  await log.add(texts(600, 900))
  const copy = second.mirror.get(originHash(log.origin))!
  await until(
    async () => copy.nextEntry,
    (next) => next === 900,
  )
  expect(await sizeServed(second, log)).toBe(600)

  hidden = false
  await until(readyz, ({ status }) => status === 200)
  await until(
    () => sizeServed(second, log),
    (size) => size === 900,
  )
  const bundle = await second.http.get(`/${originHash(log.origin)}/tile/entries/000`)
  expect([bundle.status, bundle.bytes.equals(Buffer.from(log.file('tile/entries/000')!))]).toEqual([
    200,
    true,
  ])
})
