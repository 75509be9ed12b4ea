import { expect, test } from 'vitest'
import { toHex } from '../../src/bytes/hex.ts'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import { formatSuccessorEntry } from '../../src/client/lineage.ts'
import { Receipt } from '../../src/http/schemas.ts'
import { asHash, leafHash } from '../../src/merkle/hash.ts'
import { verifyInclusion } from '../../src/merkle/verify.ts'
import { openCheckpoint } from '../../src/note/checkpoint.ts'
import { parseVerifierKey } from '../../src/note/key.ts'
import { parseProofFile } from '../../src/note/proof-file.ts'
import { openTestLog, type TestLog } from '../support/log.ts'
import { serve } from './server.ts'
import { publishingLate } from './late.ts'

function verifyProof(hosted: TestLog, file: string, entry: string): number {
  const { index, path, checkpoint } = parseProofFile(file)
  const { size, root } = openCheckpoint(checkpoint, {
    origin: hosted.origin,
    verifiers: [parseVerifierKey(hosted.verifierKey)],
  }).checkpoint
  verifyInclusion({ index, size, leaf: leafHash(encodeUtf8(entry)), path, root: asHash(root, 'root') })
  return index
}

test('add answers the index and nothing else', async () => {
  const server = await serve([await openTestLog()])
  for (const [index, entry] of ['zero', 'one', 'two'].entries()) {
    const reply = await server.post('/logs/demo/add', entry)
    expect([reply.status, reply.text]).toEqual([200, String(index)])
    expect(reply.headers['content-type']).toBe('text/plain; charset=utf-8')
  }
})

test('a receipt says index, leaf hash and a size that covers it', async () => {
  const server = await serve([await openTestLog()])
  const reply = await server.post('/logs/demo/v1/entries', 'hello')
  expect(Receipt.strict().parse(reply.json())).toEqual({
    index: 0,
    leafHash: toHex(leafHash(encodeUtf8('hello'))),
    treeSize: 1,
    duplicate: false,
  })
  expect(reply.headers['cache-control']).toBe('no-store')
})

test('the same bytes again get the same receipt, marked as a duplicate', async () => {
  const server = await serve([await openTestLog()])
  await server.post('/logs/demo/v1/entries', 'other')
  const first = (await server.post('/logs/demo/v1/entries', 'hello')).json()
  await server.post('/logs/demo/v1/entries', 'more')
  const again = (await server.post('/logs/demo/v1/entries', 'hello')).json()
  expect(again).toEqual({ ...first, treeSize: 3, duplicate: true })
})

test('a log that allows duplicates makes a leaf of each', async () => {
  const server = await serve([await openTestLog({ allowDuplicates: true })])
  const indexes = [await server.post('/logs/demo/add', 'x'), await server.post('/logs/demo/add', 'x')]
  expect(indexes.map(({ text }) => text)).toEqual(['0', '1'])
})

test('entries are stored byte for byte, whatever their content type', async () => {
  const hosted = await openTestLog()
  const server = await serve([hosted])
  const bodies = ['{ "a" : 1 }\r\n', '', 'line\n', Buffer.from([0, 255, 10, 13])]
  const types = ['application/json', 'text/plain', 'application/x-www-form-urlencoded', 'image/png']
  for (const [i, body] of bodies.entries()) {
    await server.post('/logs/demo/v1/entries', body, { 'content-type': types[i]! })
  }
  expect((await hosted.log.readEntries(0, 4)).map((entry) => Buffer.from(entry))).toEqual(
    bodies.map((body) => Buffer.from(body)),
  )
})

test('with proof=true the receipt holds a proof file that verifies', async () => {
  const hosted = await openTestLog()
  const server = await serve([hosted])
  await hosted.add('a', 'b')
  const receipt = (await server.post('/logs/demo/v1/entries?proof=true', 'hello')).json()
  expect(verifyProof(hosted, String(receipt['proof']), 'hello')).toBe(2)
})

test('with Accept: text/plain the answer is the proof file', async () => {
  const hosted = await openTestLog()
  const server = await serve([hosted])
  await hosted.add('a', 'b', 'c')
  const reply = await server.post('/logs/demo/v1/entries', 'hello', { accept: 'text/plain' })
  expect(reply.headers['content-type']).toBe('text/plain; charset=utf-8')
  expect(verifyProof(hosted, reply.text, 'hello')).toBe(3)
})

test('wait=published answers 200 once readers see the entry', async () => {
  const { hosted, publish } = publishingLate(await openTestLog())
  const server = await serve([hosted])
  const reply = server.post('/logs/demo/v1/entries?wait=published&proof=true', 'hello')
  await publish.whenAsked
  publish.now()
  const { status, json } = await reply
  expect(status).toBe(200)
  expect(json()).toMatchObject({
    index: 0,
    treeSize: 1,
    proof: expect.stringContaining('index 0\n') as unknown,
  })
})

test('wait=published answers 202 with the same receipt when that takes too long', async () => {
  const { hosted } = publishingLate(await openTestLog())
  const server = await serve([hosted])
  for (const [target, accept] of [
    ['?wait=published&timeout=0', '*/*'],
    ['?proof=true&timeout=0', '*/*'],
    ['?timeout=0', 'text/plain'],
  ] as const) {
    const reply = await server.post(`/logs/demo/v1/entries${target}`, 'hello', { accept })
    expect(reply.status).toBe(202)
    expect(Receipt.strict().parse(reply.json())).toMatchObject({ index: 0, treeSize: 1 })
    expect(reply.json()).not.toHaveProperty('proof')
  }
  const batch = await server.post('/logs/demo/v1/batches?wait=published&timeout=0', 'more\n', {
    'content-type': 'application/x-ndjson',
  })
  expect([batch.status, batch.json()]).toEqual([
    202,
    { begin: 1, end: 2, treeSize: 2, count: 1, duplicates: [] },
  ])
  const proven = await server.post('/logs/demo/v1/batches?proof=true&timeout=0', 'and more\n', {
    'content-type': 'application/x-ndjson',
  })
  expect([proven.status, Object.keys(proven.json())]).toEqual([202, Object.keys(batch.json())])
})

test('entries of 0 and of 65,535 bytes are legal, one of 65,536 is not', async () => {
  const hosted = await openTestLog()
  const server = await serve([hosted])
  for (const target of ['add', 'v1/entries']) {
    expect((await server.post(`/logs/demo/${target}`, '')).status).toBe(200)
    expect((await server.post(`/logs/demo/${target}`, 'x'.repeat(65_535))).status).toBe(200)
    const refused = await server.post(`/logs/demo/${target}`, 'x'.repeat(65_536))
    expect([refused.status, refused.json()['code']]).toEqual([413, 'too_large'])
    expect(refused.json()['detail']).toBe('entry: expected at most 65535 bytes, got 65536 announced')
  }
  expect(hosted.log.published.size).toBe(2)
})

test('nobody but the log writes its last entry: not alone, and not in a batch', async () => {
  const hosted = await openTestLog()
  const server = await serve([hosted])
  const successor = { origin: 'log.example/next', verifierKeys: ['x'], url: 'https://log.example/next' }
  const ours = Buffer.from(formatSuccessorEntry({ origin: hosted.origin, successor }))
  const other = Buffer.from(formatSuccessorEntry({ origin: 'log.example/other', successor }))
  for (const path of ['add', 'v1/entries']) {
    const reply = await server.post(`/logs/demo/${path}`, ours.toString())
    expect([reply.status, reply.json()]).toMatchObject([403, { code: 'forbidden' }])
  }
  const headers = { 'content-type': 'application/x-ndjson' }
  const batch = await server.post('/logs/demo/v1/batches', `harmless\n${ours.toString()}\n`, headers)
  expect(batch.status).toBe(403)
  expect(hosted.log.published.size).toBe(0)
  expect((await server.post('/logs/demo/add', other.toString())).status).toBe(200)
  expect((await server.post('/logs/demo/add', `${ours.toString()} `)).status).toBe(200)
})

test('a request without a body appends nothing, and one that says that its entry is empty does', async () => {
  const hosted = await openTestLog()
  const server = await serve([hosted])
  for (const path of ['add', 'v1/entries']) {
    const connection = await server.connect()
    connection.send([`POST /logs/demo/${path} HTTP/1.1`, 'connection: close'])
    expect(await connection.closed).toMatch(/^HTTP\/1\.1 400 [^]*"code":"malformed"/)
  }
  expect(hosted.log.published.size).toBe(0)
  const reply = await server.post('/logs/demo/add', '', { 'content-length': '0' })
  expect([reply.status, reply.text]).toEqual([200, '0'])
})
