import { gunzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import { leafHash } from '../../src/merkle/hash.ts'
import { decodeBundle } from '../../src/tile/bundle.ts'
import { instead } from '../support/instead.ts'
import { openTestLog } from '../support/log.ts'
import { serve, type TestServer } from './server.ts'

const names = Array.from({ length: 600 }, (_, i) => `entry ${i}`)
const leaves = names.map((name) => leafHash(encodeUtf8(name)))

async function served(): Promise<TestServer> {
  const hosted = await openTestLog()
  await hosted.add(...names)
  return serve([hosted])
}

describe('tiles', () => {
  test('a full tile is 256 leaf hashes, immutable and open to any page', async () => {
    const server = await served()
    const reply = await server.get('/logs/demo/tile/0/001')
    expect(reply.bytes).toEqual(Buffer.concat(leaves.slice(256, 512)))
    expect(reply.headers).toMatchObject({
      'content-type': 'application/octet-stream',
      'content-length': '8192',
      'cache-control': 'public, max-age=604800, immutable',
      'access-control-allow-origin': '*',
      'x-content-type-options': 'nosniff',
    })
    expect(reply.headers).not.toHaveProperty('content-encoding')
  })

  test('a partial tile is the beginning of the fuller one, whatever its width', async () => {
    const server = await served()
    for (const [path, begin, end] of [
      ['0/002.p/88', 512, 600],
      ['0/002.p/1', 512, 513],
      ['0/001.p/255', 256, 511],
      ['0/000.p/7', 0, 7],
    ] as const) {
      const { status, bytes } = await server.get(`/logs/demo/tile/${path}`)
      expect([path, status, bytes]).toEqual([path, 200, Buffer.concat(leaves.slice(begin, end))])
    }
    expect((await server.get('/logs/demo/tile/1/000.p/2')).bytes).toHaveLength(64)
  })

  test('tiles are never compressed', async () => {
    const server = await served()
    const { headers } = await server.get('/logs/demo/tile/0/000', { 'accept-encoding': 'gzip' })
    expect(headers).not.toHaveProperty('content-encoding')
  })
})

describe('entry bundles', () => {
  test('hold 256 entries, or as many as the width says', async () => {
    const server = await served()
    const full = await server.get('/logs/demo/tile/entries/001')
    expect(decodeBundle(full.bytes).map((entry) => Buffer.from(entry).toString())).toEqual(
      names.slice(256, 512),
    )
    expect(full.headers).toMatchObject({
      vary: 'accept-encoding',
      'cache-control': 'public, max-age=604800, immutable',
    })
    const partial = await server.get('/logs/demo/tile/entries/002.p/88')
    expect(decodeBundle(partial.bytes)).toHaveLength(88)
  })

  test('are sent as they are where compressing saves nothing, and are asked for by everybody alike', async () => {
    const hosted = await openTestLog()
    const sealed = Array.from({ length: 300 }, () => crypto.getRandomValues(new Uint8Array(100)))
    await hosted.log.append(sealed)
    const server = await serve([hosted])
    for (const [path, begin, end] of [
      ['000', 0, 256],
      ['001.p/44', 256, 300],
      ['000.p/1', 0, 1],
    ] as const) {
      for (let i = 0; i < 2; i++) {
        const reply = await server.get(`/logs/demo/tile/entries/${path}`, { 'accept-encoding': 'gzip' })
        expect(reply.headers).not.toHaveProperty('content-encoding')
        expect(reply.headers).toMatchObject({ vary: 'accept-encoding' })
        expect(decodeBundle(reply.bytes)).toEqual(sealed.slice(begin, end).map((entry) => Buffer.from(entry)))
      }
    }
  })

  test('are compressed once for those who accept it, whole and partial ones alike', async () => {
    const server = await served()
    for (const path of ['001', '002.p/88', '000.p/9']) {
      const plain = await server.get(`/logs/demo/tile/entries/${path}`, { 'accept-encoding': 'identity' })
      expect(plain.headers).not.toHaveProperty('content-encoding')
      for (let i = 0; i < 2; i++) {
        const zipped = await server.get(`/logs/demo/tile/entries/${path}`, { 'accept-encoding': 'br, gzip' })
        expect(zipped.headers).toMatchObject({ 'content-encoding': 'gzip', vary: 'accept-encoding' })
        expect(gunzipSync(zipped.bytes)).toEqual(plain.bytes)
      }
    }
  })

  test('of any width are read and compressed once', async () => {
    let reads = 0
    const hosted = await openTestLog({
      wrapStore: (store) =>
        instead(store, {
          async readEntries(...range) {
            reads++
            return store.readEntries(...range)
          },
        }),
    })
    await hosted.add(...names)
    const server = await serve([hosted])
    reads = 0
    for (let i = 0; i < 3; i++) {
      for (const path of ['001', '002.p/88', '000.p/9']) {
        const reply = await server.get(`/logs/demo/tile/entries/${path}`, { 'accept-encoding': 'gzip' })
        expect(reply.headers).toMatchObject({ 'content-encoding': 'gzip' })
      }
    }
    expect(reads).toBe(3)
  })

  test('above 1 MiB are sent as they are, in pieces that storage is asked for one by one', async () => {
    let largest = 0
    let rotten = false
    const hosted = await openTestLog({
      wrapStore: (store) =>
        instead(store, {
          async readEntries(...range) {
            const entries = await store.readEntries(...range)
            largest = Math.max(
              largest,
              entries.reduce((sum, { length }) => sum + length, 0),
            )
            return rotten && range[0] > 100 ? entries.map(() => encodeUtf8('rotten')) : entries
          },
        }),
    })
    await hosted.add(...Array.from({ length: 256 }, (_, i) => `${i} `.padEnd(20_000, 'x')))
    const server = await serve([hosted])
    largest = 0
    const path = '/logs/demo/tile/entries/000'
    for (const encoding of ['identity', 'gzip']) {
      const reply = await server.get(path, { 'accept-encoding': encoding })
      expect(reply.headers).toMatchObject({ 'content-length': String(256 * 20_002) })
      expect(reply.headers).not.toHaveProperty('content-encoding')
      const entries = decodeBundle(reply.bytes, 256)
      expect(entries.map((entry) => parseInt(Buffer.from(entry).toString(), 10))).toEqual([...entries.keys()])
    }
    expect(largest).toBeLessThanOrEqual(1024 * 1024)
    const head = await server.ask(path, { method: 'HEAD' })
    expect([head.status, head.headers['content-length'], head.bytes.length]).toEqual([
      200,
      String(256 * 20_002),
      0,
    ])
    // Found before the first byte is sent, wherever it is.
    rotten = true
    const reply = await server.get(path)
    expect([reply.status, reply.json()['code']]).toEqual([500, 'corrupt'])
  })

  test('the cache of compressed bundles does not mix up logs', async () => {
    const one = await openTestLog({ name: 'one' })
    const two = await openTestLog({ name: 'two' })
    await one.add(...names)
    await two.add(...names.toReversed())
    const server = await serve([one, two])
    const first = async (name: string): Promise<string> => {
      const { bytes } = await server.get(`/logs/${name}/tile/entries/000`, { 'accept-encoding': 'gzip' })
      return Buffer.from(decodeBundle(gunzipSync(bytes))[0]!).toString()
    }
    expect([await first('one'), await first('two'), await first('one')]).toEqual([
      'entry 0',
      'entry 599',
      'entry 0',
    ])
  })

  test('one whose entries rotted on disk is never served', async () => {
    const hosted = await openTestLog({
      wrapStore: (store) =>
        instead(store, {
          async readEntries(begin, end) {
            const entries = await store.readEntries(begin, end)
            return entries.map((entry, i) => (i === 5 ? encodeUtf8('rotten') : entry))
          },
        }),
    })
    await hosted.add(...names)
    const reported: string[] = []
    const logger = { warn() {}, error: (_: object, message: string) => void reported.push(message) }
    const server = await serve([hosted], { logger })
    for (const headers of [{}, { 'accept-encoding': 'gzip' }]) {
      const reply = await server.get('/logs/demo/tile/entries/001', headers)
      expect([reply.status, reply.json()['code'], reply.headers['cache-control']]).toEqual([
        500,
        'corrupt',
        'no-store',
      ])
    }
    // The sixth of the bundle.
    const message = 'entry 261 of log.example/logs/demo: its bytes are not those of its leaf hash'
    expect(reported).toEqual([message, message])
  })
})

describe('the checkpoint', () => {
  test('is the published note, never remembered without asking', async () => {
    const hosted = await openTestLog()
    await hosted.add('a')
    const server = await serve([hosted])
    const reply = await server.get('/logs/demo/checkpoint')
    expect(reply.text).toBe(hosted.log.published.checkpoint)
    expect(reply.headers).toMatchObject({
      'content-type': 'text/plain; charset=utf-8',
      'cache-control': 'no-cache',
      'access-control-allow-origin': '*',
    })
  })

  test('comes again only when it has changed', async () => {
    const hosted = await openTestLog()
    const server = await serve([hosted])
    const { headers } = await server.get('/logs/demo/checkpoint')
    const etag = headers.etag!
    for (const tag of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
      const same = await server.get('/logs/demo/checkpoint', { 'if-none-match': tag })
      expect([same.status, same.text, same.headers.etag]).toEqual([304, '', etag])
    }
    await hosted.add('a')
    expect((await server.get('/logs/demo/checkpoint', { 'if-none-match': etag })).status).toBe(200)
  })

  test('an empty log has one too', async () => {
    const server = await serve([await openTestLog()])
    expect((await server.get('/logs/demo/checkpoint')).text).toMatch(
      /\n0\n47DEQpj8HBSa\+\/TImW\+5JCeuQeRkm5NMpJWZG3hSuFU=\n/,
    )
  })
})

const PATHS = ['checkpoint', 'tile/0/001', 'tile/0/002.p/88', 'tile/entries/001', 'tile/entries/002.p/88']

test.each(PATHS)('HEAD of %s has the headers of GET and no body', async (path) => {
  const server = await served()
  const get = await server.get(`/logs/demo/${path}`)
  const head = await server.ask(`/logs/demo/${path}`, { method: 'HEAD' })
  const own = { date: '', 'x-request-id': '' }
  expect({ ...head.headers, ...own }).toEqual({ ...get.headers, ...own })
  expect(head.text).toBe('')
})

test.each(PATHS)('OPTIONS of %s lets pages of other origins read', async (path) => {
  const server = await served()
  const reply = await server.ask(`/logs/demo/${path}`, { method: 'OPTIONS' })
  expect(reply.status).toBe(204)
  expect(reply.headers).toMatchObject({
    allow: 'GET, HEAD, OPTIONS',
    'access-control-allow-origin': '*',
    'access-control-allow-methods': 'GET, HEAD, OPTIONS',
  })
})

test.each(PATHS)('any other method on %s is refused with those there are', async (path) => {
  const server = await served()
  for (const method of ['POST', 'PUT', 'DELETE']) {
    const reply = await server.ask(`/logs/demo/${path}`, { method })
    expect([reply.status, reply.headers.allow]).toEqual([405, 'GET, HEAD, OPTIONS'])
    expect(reply.json()).toMatchObject({
      code: 'method_not_allowed',
      detail: `expected GET, HEAD, OPTIONS, got "${method}"`,
    })
  }
})

describe('path tricks', () => {
  const absent = [
    '0/003',
    '0/002',
    '0/002.p/89',
    '0/002.p/255',
    '1/000',
    '1/000.p/3',
    '2/000.p/1',
    '63/000.p/1',
    '0/x001/000',
  ]
  test.each(absent)('tile/%s is beyond the published size: 404, not to be remembered', async (path) => {
    const server = await served()
    const reply = await server.get(`/logs/demo/tile/${path}`)
    expect([reply.status, reply.json()['code'], reply.headers['cache-control']]).toEqual([
      404,
      'not_found',
      'no-store',
    ])
  })

  const malformed = [
    '0/1', '0/0001', '0/x001', '0/x000/001', '0/001/002', '0/000.p/0', '0/000.p/256', '0/000.p/01', '0/000.p', '0/000.p/',
    '0/000.p/-1', '0/000.p/1e1', '00/000', '64/000', '-1/000', '1e0/000', '0/', '', '0//000', '/0/000', '0/000/', '0/%30%30%30',
    '0%2f000', '0/../0/000', '../checkpoint', '..%2fcheckpoint', '0/000?x=1', '0/000#x', '0/00o', 'entries/', 'entries/1',
    'entries/000.p/0', 'entries/000.p/256', 'entries/../0/000', 'entries/0/000', 'Entries/000', 'data/000',
    '0/x184/x467/x440/x737/x095/x516/x160',
  ] // prettier-ignore
  test.each(malformed)('tile/%s is no tile path', async (path) => {
    const server = await served()
    const reply = await server.get(`/logs/demo/tile/${path}`)
    expect([reply.status, reply.json()['code'], reply.headers['cache-control']]).toEqual([
      400,
      'malformed',
      'no-store',
    ])
  })

  const elsewhere = [
    '/logs/demo//tile/0/000',
    '//logs/demo/tile/0/000',
    '/logs/%64emo/tile/0/000',
    '/logs/../logs/demo/checkpoint',
    '/logs/none/tile/0/000',
    '/logs//checkpoint',
  ]
  test.each(elsewhere)('%s is nothing', async (path) => {
    const server = await served()
    const reply = await server.get(path)
    expect([reply.status, reply.json()['code'], reply.headers['cache-control']]).toEqual([
      404,
      'not_found',
      'no-store',
    ])
  })
})
