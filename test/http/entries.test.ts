import { expect, test } from 'vitest'
import { toBase64 } from '../../src/bytes/base64.ts'
import { toHex } from '../../src/bytes/hex.ts'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import { Entry, EntryPage, Leaf } from '../../src/http/schemas.ts'
import { leafHash } from '../../src/merkle/hash.ts'
import { instead } from '../support/instead.ts'
import { openTestLog, type TestLog } from '../support/log.ts'
import { serve, type TestServer } from './server.ts'

const LOG = '/logs/demo/v1'
const hashOf = (text: string): string => toHex(leafHash(encodeUtf8(text)))

async function served(size: number, limits = {}): Promise<{ hosted: TestLog; server: TestServer }> {
  const hosted = await openTestLog()
  await hosted.add(...Array.from({ length: size }, (_, i) => `entry ${i}`))
  return { hosted, server: await serve([hosted], { limits }) }
}

test('a page holds the entries of a range with their leaf hashes', async () => {
  const { server } = await served(7)
  const page = (await server.get(`${LOG}/entries?begin=2&end=4`)).json()
  expect(EntryPage.strict().parse(page)).toEqual({
    begin: 2,
    end: 4,
    treeSize: 7,
    entries: [2, 3].map((index) => ({
      index,
      leafHash: hashOf(`entry ${index}`),
      entry: toBase64(encodeUtf8(`entry ${index}`)),
    })),
  })
})

test('a range beyond the tree is cut at its end, and one without an end goes up to it', async () => {
  const { server } = await served(7)
  for (const query of ['begin=5&end=1000', 'begin=5', `begin=5&end=${Number.MAX_SAFE_INTEGER}`]) {
    expect((await server.get(`${LOG}/entries?${query}`)).json()).toMatchObject({ begin: 5, end: 7 })
  }
})

test('a page ends at its limit of entries or of bytes, after one entry at least', async () => {
  const few = await served(20, { pageEntries: 8 })
  expect((await few.server.get(`${LOG}/entries?begin=1&end=20`)).json()).toMatchObject({ begin: 1, end: 9 })
  const small = await served(20, { pageBytes: 16 })
  expect((await small.server.get(`${LOG}/entries?begin=1&end=20`)).json()).toMatchObject({ begin: 1, end: 3 })
  const tiny = await served(20, { pageBytes: 1 })
  expect((await tiny.server.get(`${LOG}/entries?begin=1&end=20`)).json()).toMatchObject({ begin: 1, end: 2 })
})

test('a single entry comes as its bytes, immutable and harmless in a browser', async () => {
  const hosted = await openTestLog()
  await hosted.add('<script>alert(1)</script>', '')
  const server = await serve([hosted])
  const reply = await server.get(`${LOG}/entries/0`)
  expect(reply.text).toBe('<script>alert(1)</script>')
  expect(reply.headers).toMatchObject({
    'content-type': 'application/octet-stream',
    'cache-control': 'public, max-age=604800, immutable',
    'x-content-type-options': 'nosniff',
    'content-security-policy': "default-src 'none'; sandbox",
    'stele-leaf-hash': hashOf('<script>alert(1)</script>'),
    'access-control-expose-headers': expect.stringContaining('stele-leaf-hash') as unknown,
    vary: 'accept',
  })
  const empty = await server.get(`${LOG}/entries/1`)
  expect([empty.status, empty.headers['content-length']]).toEqual([200, '0'])
})

test('a single entry comes in JSON to those who ask, and then it is not immutable', async () => {
  const { server } = await served(3)
  const reply = await server.get(`${LOG}/entries/1`, { accept: 'application/json' })
  expect(Entry.strict().parse(reply.json())).toEqual({
    index: 1,
    leafHash: hashOf('entry 1'),
    entry: toBase64(encodeUtf8('entry 1')),
    treeSize: 3,
  })
  expect(reply.headers).toMatchObject({ 'cache-control': 'no-cache', vary: 'accept' })
})

test('a leaf hash is looked up, the lowest index first', async () => {
  const hosted = await openTestLog({ allowDuplicates: true })
  await hosted.add('a', 'twice', 'b', 'twice')
  const server = await serve([hosted])
  const leaf = (await server.get(`${LOG}/leaves/${hashOf('twice')}`)).json()
  expect(Leaf.strict().parse(leaf)).toEqual({ index: 1, leafHash: hashOf('twice'), treeSize: 4 })
})

test('an entry that rotted on disk is refused by its index, never handed out', async () => {
  const hosted = await openTestLog({
    wrapStore: (store) =>
      instead(store, {
        readEntries: async (begin, end) => (begin < end ? [encodeUtf8('rotten')] : []),
      }),
  })
  await hosted.add('a', 'b')
  const reported: string[] = []
  const logger = { warn() {}, error: (_: object, message: string) => void reported.push(message) }
  const server = await serve([hosted], { logger })
  for (const path of ['v1/entries/1', 'v1/entries?begin=1', 'ct/v1/get-entries?start=1&end=1']) {
    const reply = await server.get(`/logs/demo/${path}`)
    expect([reply.status, reply.json()['code'], reply.headers['cache-control']]).toEqual([
      500,
      'corrupt',
      'no-store',
    ])
    expect(reply.text).not.toContain('log.example')
  }
  expect(reported).toEqual(
    Array(3).fill('entry 1 of log.example/logs/demo: its bytes are not those of its leaf hash'),
  )
})
