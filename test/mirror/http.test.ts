import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { parseBase64, toBase64 } from '../../src/bytes/base64.ts'
import { concatBytes } from '../../src/bytes/bytes.ts'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import { openNote } from '../../src/note/note.ts'
import { FakeLog } from '../client/fake-log.ts'
import {
  asMirrored,
  checkpointAt,
  checkpointBody,
  headerOf,
  MIRROR_KEY,
  sized,
  testMirror,
  uploadBody,
  type TestMirror,
  type UploadBody,
} from './fixture.ts'
import { OCTETS, serveMirror } from './server.ts'
import type { Reply, TestServer } from '../http/server.ts'

interface Stage extends TestMirror {
  readonly server: TestServer
  readonly source: FakeLog
  pend(oldSize: number, size: number): Promise<Reply>
  upload(body: UploadBody): Promise<Reply>
}

/** A mirror that knows nothing yet, and a log of this size. */
async function stage(size: number): Promise<Stage> {
  const source = await FakeLog.create(size)
  const mirror = await testMirror(asMirrored(source))
  const server = await serveMirror(mirror.mirror)
  return {
    ...mirror,
    server,
    source,
    pend: async (oldSize, to) => server.post('/add-checkpoint', await checkpointBody(source, oldSize, to)),
    upload: async (body) => server.post('/add-entries', await uploadBody(source, body), OCTETS),
  }
}

/** The lines of a 202 or 409. */
function infoOf({ text, headers }: Reply): { size: string; next: string; ticket: Uint8Array } {
  expect(headers['content-type']).toBe('text/x.tlog.mirror-info')
  const [size, next, ticket, rest] = text.split('\n')
  expect(rest).toBe('')
  return { size: size!, next: next!, ticket: parseBase64(ticket!, 'ticket') }
}

test('a checkpoint becomes the pending one without a cosignature, and nothing is served before the entries are here', async () => {
  const { server, log, pend, upload } = await stage(700)
  const added = await pend(0, 600)
  expect([added.status, added.text]).toEqual([200, ''])
  expect((await server.get(`/${log.hash}/checkpoint`)).status).toBe(404)
  await upload({ end: 600, packages: 1 })
  expect((await server.get(`/${log.hash}/checkpoint`)).status).toBe(404)
  expect((await server.get(`/${log.hash}/tile/0/000`)).status).toBe(404)
  const other = await pend(0, 700)
  expect([other.status, other.text, other.headers['content-type']]).toEqual([
    409,
    '600\n',
    'text/x.tlog.size',
  ])
})

test('what was uploaded is served byte for byte as the log has it, with both signatures on its checkpoint', async () => {
  const { server, log, source, pend, upload } = await stage(70_000)
  await pend(0, 70_000)
  const reply = await upload({ end: 70_000 })
  expect(reply.status).toBe(200)
  const note = (await server.get(`/${log.hash}/checkpoint`)).text
  expect(note).toBe(source.note + reply.text)
  expect(openNote(note, [source.key.verifier, MIRROR_KEY.verifier]).verifiedBy).toHaveLength(2)
  const paths = source.paths().filter((path) => path !== 'checkpoint')
  for (const path of [...paths.slice(0, 20), ...paths.slice(-20)]) {
    const { status, bytes, headers } = await server.get(`/${log.hash}/${path}`)
    expect([path, status, headers['cache-control']]).toEqual([path, 200, 'public, max-age=604800, immutable'])
    expect(bytes.equals(source.file(path)!), path).toBe(true)
  }
})

test('an upload in parts goes on where the answers say, from within a bundle too', async () => {
  const { server, log, pend, upload } = await stage(1500)
  await pend(0, 300)
  expect((await upload({ end: 300 })).status).toBe(200)
  await pend(300, 1500)
  const first = await upload({ start: 300, end: 1500, packages: 2 })
  expect(first.status).toBe(202)
  expect(infoOf(first)).toMatchObject({ size: '1500', next: '768' })
  // What is stored and not cosigned yet is not served.
  for (const kind of ['0', 'entries']) {
    const paths = [`${kind}/001.p/44`, `${kind}/001.p/45`, `${kind}/001`]
    const replies = await Promise.all(paths.map((path) => server.get(`/${log.hash}/tile/${path}`)))
    expect(replies.map(({ status }) => status)).toEqual([200, 404, 404])
  }
  // Below the next entry, and not at the beginning of a bundle: the mirror adds what it has.
  const rest = await upload({ start: 700, end: 1500 })
  expect(rest.status).toBe(200)
  expect(log.nextEntry).toBe(1500)
})

test('an upload whose checkpoint was replaced meanwhile is still taken, by size or by ticket', async () => {
  const { log, pend, upload } = await stage(1000)
  await pend(0, 500)
  const part = await upload({ end: 500, packages: 1 })
  const { ticket } = infoOf(part)
  // More checkpoints than the mirror keeps.
  for (let size = 500; size < 520; size++) await pend(size, size + 1)
  const forgotten = await upload({ start: 256, end: 500 })
  expect(forgotten.status).toBe(409)
  expect(infoOf(forgotten)).toMatchObject({ size: '520', next: '256' })
  const spoilt = ticket.slice()
  spoilt[40]! ^= 1
  expect((await upload({ start: 256, end: 500, ticket: spoilt })).status).toBe(409)
  expect((await upload({ start: 256, end: 500, ticket })).status).toBe(200)
  expect(log.published.size).toBe(500)
  // A ticket is of its own size, and does not lead back below the mirror checkpoint.
  expect((await upload({ start: 500, end: 520 })).status).toBe(200)
  expect((await upload({ start: 256, end: 500, ticket })).status).toBe(409)
  expect(log.published.size).toBe(520)
})

test('one who sends 200 requests ahead and reads nothing is cut off, and others are served', async () => {
  const server = await serveMirror((await testMirror(asMirrored(await FakeLog.create(1)))).mirror)
  const connection = await server.connect()
  connection.socket.pause()
  connection.socket.write('GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n'.repeat(200))
  await new Promise((resolve) => connection.socket.once('close', resolve))
  expect((await server.get('/healthz')).status).toBe(200)
})

test('a ticket of one log is none for another', async () => {
  const here = await stage(300)
  await here.pend(0, 300)
  const there = await stage(300)
  there.source.origin = 'log.example/other'
  const other = await testMirror({ origin: 'log.example/other', keys: [there.source.key.verifier] })
  const server = await serveMirror(other.mirror)
  await server.post('/add-checkpoint', await checkpointBody(there.source, 0, 299))
  const { ticket } = infoOf(await here.upload({ start: 0, end: 7 }))
  const body = await uploadBody(there.source, { end: 300, ticket })
  expect((await server.post('/add-entries', body, OCTETS)).status).toBe(409)
})

test('asking again at the current size refreshes the cosignature', async () => {
  const { clock, log, source, pend, upload } = await stage(300)
  await pend(0, 300)
  const first = await upload({ end: 300 })
  expect((await upload({ start: 300, end: 300 })).text).toBe(first.text)
  clock.seconds += 60
  const second = await upload({ start: 300, end: 300 })
  expect(second.status).toBe(200)
  expect(second.text).not.toBe(first.text)
  expect(log.published.checkpoint).toBe(source.note + second.text)
  clock.seconds -= 3600
  expect((await upload({ start: 300, end: 300 })).text).toBe(second.text)
})

test('what is asked with nothing known, or beyond what is known, is answered with what to do', async () => {
  const { server, source, pend, upload } = await stage(600)
  expect((await upload({ end: 600 })).status).toBe(422)
  expect((await upload({ origin: 'log.example/nobody', end: 600 })).status).toBe(404)
  await pend(0, 600)
  expect(infoOf(await upload({ start: 0, end: 0 }))).toMatchObject({ size: '600', next: '0' })
  expect(infoOf(await upload({ start: 1, end: 600 }))).toMatchObject({ size: '600', next: '0' })
  for (const end of [599, 601, 2n ** 53n, 2n ** 53n + 600n, 2n ** 63n, 2n ** 64n - 1n]) {
    const reply = await upload({ end })
    expect([String(end), reply.status]).toEqual([String(end), 409])
  }
  expect((await upload({ start: 2n ** 63n, end: 2n ** 63n })).status).toBe(409)
  expect((await upload({ start: 601, end: 600 })).status).toBe(400)
  expect((await upload({ end: 600 })).status).toBe(200)
  expect((await server.post('/add-entries', headerOf(source.origin, 0n, 599n), OCTETS)).status).toBe(409)
})

test('more overlap than a request can have is refused', async () => {
  const { pend, upload } = await stage(9000)
  await pend(0, 8999)
  expect((await upload({ end: 8999 })).status).toBe(200)
  await pend(8999, 9000)
  expect(infoOf(await upload({ start: 0, end: 9000 }))).toMatchObject({ size: '9000', next: '8999' })
  expect((await upload({ start: 1000, end: 9000 })).status).toBe(200)
})

describe('bad uploads', () => {
  test('a body cut at any byte keeps the packages that came whole, and never more', async () => {
    const source = await FakeLog.create(260)
    // A byte each: what matters is where it is cut.
    const { mirror, log } = await testMirror(asMirrored(source))
    const server = await serveMirror(mirror)
    await server.post('/add-checkpoint', await checkpointBody(source, 0, 260))
    const body = await uploadBody(source, { end: 260 })
    const whole = (await uploadBody(source, { end: 260, packages: 1 })).length
    const cuts = [...Array(60).keys(), whole - 34, whole - 33, whole - 32, whole - 1]
    for (const cut of cuts) {
      const reply = await server.post('/add-entries', body.subarray(0, cut), OCTETS)
      expect([cut, reply.status, log.nextEntry]).toEqual([cut, 400, 0])
    }
    for (let cut = whole; cut < body.length; cut++) {
      const reply = await server.post('/add-entries', body.subarray(0, cut), OCTETS)
      expect([cut, reply.status, log.nextEntry]).toEqual([cut, 202, 256])
    }
    expect((await server.post('/add-entries', body, OCTETS)).status).toBe(200)
  })

  test('a compressed body cut at any byte does the same', async () => {
    const { server, source, log, pend } = await stage(260)
    await pend(0, 260)
    const body = gzipSync(await uploadBody(source, { end: 260 }))
    const statuses = new Set<number>()
    for (let cut = 0; cut < body.length; cut += 7) {
      const headers = { ...OCTETS, 'content-encoding': 'gzip' }
      const { status } = await server.post('/add-entries', body.subarray(0, cut), headers)
      statuses.add(status)
      expect(log.nextEntry).toBe(status === 400 ? 0 : status === 202 ? 256 : 260)
      expect([...statuses].at(-1)).toBe(status)
    }
    expect([...statuses].slice(0, 2)).toEqual([400, 202])
  })

  test('a wrong entry, a wrong hash, or the proof of the unrounded range is refused, and what came before it stays', async () => {
    const { server, source, log, pend } = await stage(600)
    await pend(0, 600)
    const body = await uploadBody(source, { end: 600 })
    const first = (await uploadBody(source, { end: 600, packages: 1 })).length
    const spoilt = body.slice()
    spoilt[first + 5]! ^= 1
    expect((await server.post('/add-entries', spoilt, OCTETS)).status).toBe(422)
    expect(log.nextEntry).toBe(256)
    const last = body.slice()
    last[last.length - 1]! ^= 1
    expect((await server.post('/add-entries', last, OCTETS)).status).toBe(422)
    expect([log.nextEntry, log.state.mirrored]).toEqual([512, undefined])
  })

  test('64 hashes are one too many', async () => {
    const { server, source, pend } = await stage(7)
    await pend(0, 7)
    const head = concatBytes(headerOf(source.origin, 0n, 7n), ...source.entries.map(sized))
    const hashes = (count: number): Uint8Array =>
      concatBytes(head, Uint8Array.of(count), new Uint8Array(count * 32))
    expect((await server.post('/add-entries', hashes(64), OCTETS)).status).toBe(400)
    expect((await server.post('/add-entries', hashes(63), OCTETS)).status).toBe(422)
  })

  test('only octets, as they are or in gzip, are taken', async () => {
    const { server, source, pend } = await stage(7)
    await pend(0, 7)
    const body = await uploadBody(source, { end: 7 })
    expect((await server.post('/add-entries', body)).status).toBe(415)
    expect((await server.post('/add-entries', body, { 'content-type': 'text/plain' })).status).toBe(415)
    const br = { ...OCTETS, 'content-encoding': 'br' }
    expect((await server.post('/add-entries', body, br)).status).toBe(415)
    const noGzip = { ...OCTETS, 'content-encoding': 'gzip' }
    expect((await server.post('/add-entries', body, noGzip)).status).toBe(400)
    expect((await server.get('/add-entries')).status).toBe(405)
  })

  test('a body that inflates to gigabytes is answered before a hundredth of it was inflated', async () => {
    const { server, source, pend } = await stage(600)
    await pend(0, 600)
    const zeros = gzipSync(new Uint8Array(64 * 1024 * 1024))
    // Members of gzip one behind the other are one stream: 8 GiB of empty entries, or of junk behind a good package.
    const bomb = Buffer.concat(Array.from({ length: 128 }, () => zeros))
    const headers = { ...OCTETS, 'content-encoding': 'gzip' }
    const before = process.memoryUsage().rss
    for (const [packages, status] of [
      [0, 422],
      [1, 422],
      [Infinity, 200],
    ] as const) {
      const body = gzipSync(await uploadBody(source, { end: 600, packages }))
      const reply = await server.post('/add-entries', Buffer.concat([body, bomb]), headers)
      expect(reply.status).toBe(status)
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * 1024 * 1024)
  })
})

test('a connection that breaks leaves what was verified', async () => {
  const { server, source, log, pend, upload } = await stage(3000)
  await pend(0, 3000)
  const body = await uploadBody(source, { end: 3000 })
  const connection = await server.connect()
  connection.send([
    'POST /add-entries HTTP/1.1',
    `Content-Length: ${body.length}`,
    'Content-Type: application/octet-stream',
  ])
  const part = await uploadBody(source, { end: 3000, packages: 9 })
  connection.socket.write(part)
  // Eight packages are written together; only then is the line cut.
  while (log.nextEntry < 2048) await new Promise((resolve) => setImmediate(resolve))
  connection.socket.destroy()
  expect((await upload({ start: log.nextEntry, end: 3000 })).status).toBe(200)
})

test('many upload at once, and all end with the same tree', async () => {
  const { log, source, pend, upload } = await stage(5000)
  await pend(0, 4000)
  await pend(4000, 5000)
  const replies = await Promise.all([4000, 5000, 4000, 5000].map((end) => upload({ end })))
  for (const [i, end] of [4000, 5000, 4000, 5000].entries()) {
    // Whoever is late by then is told so: the mirror checkpoint never goes back.
    expect(end === 5000 ? [200] : [200, 409]).toContain(replies[i]!.status)
  }
  expect(log.published.size).toBe(5000)
  expect(log.published.checkpoint.startsWith(source.note)).toBe(true)
})

test('a second history is refused, and what proves it is kept', async () => {
  const { server, source, evidence, told, pend, upload } = await stage(300)
  await pend(0, 300)
  await upload({ end: 300 })
  const forked = await FakeLog.create(310, (text) => `${text}!`)
  const same = encodeUtf8(`old 300\n\n${await checkpointAt(forked, 300)}`)
  expect((await server.post('/add-checkpoint', same)).status).toBe(422)
  expect((await server.post('/add-checkpoint', await checkpointBody(forked, 300, 310))).status).toBe(422)
  expect(told.map(([kind]) => kind)).toEqual(['fork', 'fork'])
  expect(evidence.kept[0]!.held).toBe(source.note)
  expect((await upload({ start: 300, end: 300 })).status).toBe(200)
})

test('garbage for a checkpoint is refused as a witness refuses it', async () => {
  const { server, source } = await stage(300)
  const post = async (body: string): Promise<number> => (await server.post('/add-checkpoint', body)).status
  expect(await post('')).toBe(400)
  expect(await post('old 0\n\n\n')).toBe(400)
  expect(await post(`old 301\n\n${source.note}`)).toBe(400)
  expect(await post(`old 0\n\n${source.note.replace('— ', '— x')}`)).toBe(403)
  expect(await post(`old 0\n\n${source.note.replace('300', '301')}`)).toBe(403)
  const huge = await source.sign({ size: 2 ** 53 - 1 })
  expect(await post(`old 0\n\n${huge}`)).toBe(200)
  expect(await post(`old 0\n${`${toBase64(new Uint8Array(32))}\n`.repeat(64)}\n${source.note}`)).toBe(400)
})

test('a checkpoint of a future size is pending, and an upload for it fails at its first package', async () => {
  const { server, source, log, upload } = await stage(300)
  const huge = await source.sign({ size: 2 ** 53 - 1 })
  await server.post('/add-checkpoint', `old 0\n\n${huge}`)
  const body = concatBytes(
    headerOf(source.origin, 0n, 2n ** 53n - 1n),
    ...source.entries.slice(0, 256).map(sized),
    Uint8Array.of(45),
    new Uint8Array(45 * 32),
  )
  expect((await server.post('/add-entries', body, OCTETS)).status).toBe(422)
  expect((await upload({ start: 2 ** 53 - 1, end: 2 ** 53 - 1 })).status).toBe(409)
  expect(log.nextEntry).toBe(0)
})

test('a sender that is too slow is not waited for', async () => {
  const source = await FakeLog.create(300)
  const { mirror } = await testMirror(asMirrored(source))
  const server = await serveMirror(mirror, { uploadGraceMs: 50 })
  await server.post('/add-checkpoint', await checkpointBody(source, 0, 300))
  const connection = await server.connect()
  connection.send([
    'POST /add-entries HTTP/1.1',
    'Content-Length: 100000',
    'Content-Type: application/octet-stream',
  ])
  expect(await connection.hear('"code":"too_slow"')).toContain('408')
})

test('one address gets half of the uploads that there may be at once', async () => {
  const { mirror, source } = await stage(300)
  const server = await serveMirror(mirror, { maxUploads: 2 })
  const first = await server.connect()
  first.send([
    'POST /add-entries HTTP/1.1',
    'Content-Length: 100000',
    'Content-Type: application/octet-stream',
    'Expect: 100-continue',
  ])
  await first.hear('100 Continue')
  const body = await uploadBody(source, { end: 300 })
  const second = await server.post('/add-entries', body, OCTETS)
  expect([second.status, second.headers['retry-after']]).toEqual([429, '2'])
})
