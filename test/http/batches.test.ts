import { describe, expect, test } from 'vitest'
import { ENTRY_BUNDLE, NDJSON } from '../../src/http/batch.ts'
import { BatchReceipt } from '../../src/http/schemas.ts'
import { encodeBundle } from '../../src/tile/bundle.ts'
import { parseHex } from '../../src/bytes/hex.ts'
import { asHash, leafHash } from '../../src/merkle/hash.ts'
import { verifyInclusion } from '../../src/merkle/verify.ts'
import { openCheckpoint } from '../../src/note/checkpoint.ts'
import { parseVerifierKey } from '../../src/note/key.ts'
import { openTestLog } from '../support/log.ts'
import { serve } from './server.ts'

const BATCHES = '/logs/demo/v1/batches'
const lines = { 'content-type': NDJSON }
const bundle = { 'content-type': ENTRY_BUNDLE }

test('lines get consecutive indexes in their order', async () => {
  const hosted = await openTestLog()
  const server = await serve([hosted])
  await hosted.add('before')
  const reply = await server.post(BATCHES, 'a\nb\nc\n', lines)
  expect(reply.status).toBe(200)
  expect(BatchReceipt.strict().parse(reply.json())).toEqual({
    begin: 1,
    end: 4,
    treeSize: 4,
    count: 3,
    duplicates: [],
  })
  const stored = await hosted.log.readEntries(1, 4)
  expect(stored.map((entry) => Buffer.from(entry).toString())).toEqual(['a', 'b', 'c'])
})

test('an entry bundle does too, with empty entries and any bytes', async () => {
  const hosted = await openTestLog()
  const server = await serve([hosted])
  const entries = [new Uint8Array(0), Uint8Array.of(10, 13, 0), new Uint8Array(65_535)]
  const reply = await server.post(BATCHES, encodeBundle(entries), bundle)
  expect(reply.json()).toMatchObject({ begin: 0, end: 3, count: 3 })
  expect((await hosted.log.readEntries(0, 3)).map((entry) => new Uint8Array(entry))).toEqual(entries)
})

test('what the log has already, and what comes twice in the batch, is listed with its index', async () => {
  const hosted = await openTestLog()
  const server = await serve([hosted])
  await hosted.add('x', 'known')
  const reply = await server.post(BATCHES, 'new 1\nknown\nnew 2\nnew 1\nnew 3\n', lines)
  expect(reply.json()).toEqual({
    begin: 2,
    end: 5,
    treeSize: 5,
    count: 5,
    duplicates: [
      { position: 1, index: 1 },
      { position: 3, index: 2 },
    ],
  })
})

test('with proof=true the receipt proves every entry of the batch, known ones included, under one checkpoint', async () => {
  const hosted = await openTestLog()
  const server = await serve([hosted])
  await hosted.add('x', 'known', 'y')
  const texts = ['new 1', 'known', 'new 2', 'new 1', ...Array.from({ length: 300 }, (_, i) => `more ${i}`)]
  const reply = await server.post(`${BATCHES}?proof=true`, texts.join('\n'), lines)
  expect(reply.status).toBe(200)
  const { begin, duplicates, checkpoint, proofs } = BatchReceipt.strict().parse(reply.json())
  const { verifierKey, origin } = hosted
  const verifiers = [parseVerifierKey(verifierKey)]
  const { size, root } = openCheckpoint(checkpoint!, { origin, verifiers }).checkpoint
  expect([size, proofs!.length]).toEqual([305, texts.length])
  const known = new Map(duplicates.map(({ position, index }) => [position, index]))
  let next = begin
  for (const [i, hashes] of proofs!.entries()) {
    const index = known.get(i) ?? next++
    const path = hashes.map((hash) => asHash(parseHex(hash, 'proof'), 'proof'))
    verifyInclusion({ index, size, leaf: leafHash(Buffer.from(texts[i]!)), path, root })
  }
})

test('a batch of more than 1000 entries gets no proofs, and is refused before any entry is logged', async () => {
  const hosted = await openTestLog()
  const server = await serve([hosted])
  const texts = Array.from({ length: 1001 }, (_, i) => `entry ${i}`)
  const refused = await server.post(`${BATCHES}?proof=true`, texts.join('\n'), lines)
  expect([refused.status, refused.json()['code']]).toEqual([413, 'too_large'])
  expect(hosted.log.integrated.size).toBe(0)
  const reply = await server.post(`${BATCHES}?proof=true`, texts.slice(1).join('\n'), lines)
  expect((reply.json()['proofs'] as unknown[]).length).toBe(1000)
})

test('a batch of known entries adds nothing, and says so', async () => {
  const hosted = await openTestLog()
  const server = await serve([hosted])
  await hosted.add('a', 'b')
  const { begin, end, count } = (await server.post(BATCHES, 'b\na\n', lines)).json()
  expect([end, count]).toEqual([begin, 2])
})

test('a batch that comes in many chunks is the same batch', async () => {
  const hosted = await openTestLog()
  const server = await serve([hosted])
  const body = Array.from({ length: 500 }, (_, i) => `entry ${i} ${'.'.repeat(i)}`).join('\n')
  const connection = await server.connect()
  connection.send([`POST ${BATCHES} HTTP/1.1`, `Content-Type: ${NDJSON}`, 'Transfer-Encoding: chunked'])
  for (let at = 0; at < body.length; at += 777) {
    const piece = body.slice(at, at + 777)
    connection.socket.write(`${piece.length.toString(16)}\r\n${piece}\r\n`)
  }
  connection.socket.write('0\r\n\r\n')
  expect(await connection.hear('"duplicates":[]')).toContain('"begin":0,"end":500')
})

describe('a batch is refused whole', () => {
  const cases: [
    what: string,
    body: string | Uint8Array,
    headers: Record<string, string>,
    ...expected: unknown[],
  ][] = [
    [
      'an empty line',
      'a\n\nc\n',
      lines,
      400,
      'malformed',
      'batch, line 2: expected an entry, got an empty line',
    ],
    ['no entry at all', '', lines, 400, 'malformed', 'batch: expected at least one entry, got none'],
    ['an empty bundle', '', bundle, 400, 'malformed', 'batch: expected at least one entry, got none'],
    [
      'a truncated bundle',
      encodeBundle([Buffer.from('whole'), Buffer.from('half')]).subarray(0, 11),
      bundle,
      400,
      'malformed',
      'batch, entry 2: expected 4 bytes of its content, the bundle ends after 2',
    ],
    [
      'a line of 65,536 bytes',
      `a\n${'x'.repeat(65_536)}\n`,
      lines,
      413,
      'too_large',
      expect.stringMatching(/^batch, line 2: expected at most 65535 bytes, got \d+ or more$/),
    ],
    [
      'too many entries',
      'x\n'.repeat(6),
      lines,
      413,
      'too_large',
      'batch: expected at most 5 entries, got more',
    ],
    [
      'too many bytes',
      `${'y'.repeat(60_000)}\n`.repeat(4),
      lines,
      413,
      'too_large',
      'batch: expected at most 200000 bytes, got 240004 announced',
    ],
    [
      'another content type',
      '[1]',
      { 'content-type': 'application/json' },
      415,
      'unsupported_media_type',
      `batch: expected Content-Type ${NDJSON} or ${ENTRY_BUNDLE}, got "application/json"`,
    ],
    [
      'no content type',
      'a\n',
      {},
      415,
      'unsupported_media_type',
      `batch: expected Content-Type ${NDJSON} or ${ENTRY_BUNDLE}, got none`,
    ],
    [
      'compression',
      'a\n',
      { ...lines, 'content-encoding': 'gzip' },
      415,
      'unsupported_media_type',
      'batch: expected no Content-Encoding, got "gzip"',
    ],
  ]

  test.each(cases)('for %s', async (_, body, headers, ...expected) => {
    const hosted = await openTestLog()
    const server = await serve([hosted], { limits: { maxBatchEntries: 5, maxBatchBytes: 200_000 } })
    const reply = await server.post(BATCHES, body, headers)
    expect([reply.status, reply.json()['code'], reply.json()['detail']]).toEqual(expected)
    expect(hosted.log.integrated.size).toBe(0)
    expect((await server.post(BATCHES, 'a\nb\n', lines)).status).toBe(200)
  })

  test('when its body is chunked and grows past the limit', async () => {
    const hosted = await openTestLog()
    const server = await serve([hosted], { limits: { maxBatchBytes: 200_000 } })
    const headers = { ...lines, 'transfer-encoding': 'chunked' }
    const reply = await server.post(BATCHES, `${'y'.repeat(60_000)}\n`.repeat(4), headers)
    expect([reply.status, reply.json()['detail']]).toEqual([
      413,
      'batch: expected at most 200000 bytes, got more',
    ])
    expect(hosted.log.integrated.size).toBe(0)
  })
})

test('a batch sent to v1/entries is refused, for it would become one entry', async () => {
  const hosted = await openTestLog()
  const server = await serve([hosted])
  for (const headers of [lines, bundle]) {
    const reply = await server.post('/logs/demo/v1/entries', 'a\nb\n', headers)
    expect([reply.status, reply.json()['code']]).toEqual([415, 'unsupported_media_type'])
  }
  expect(hosted.log.integrated.size).toBe(0)
})
