import { expect, test } from 'vitest'
import { parseHex, toHex } from '../../src/bytes/hex.ts'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import { ConsistencyProof, InclusionProof } from '../../src/http/schemas.ts'
import { asHash, leafHash, type Hash } from '../../src/merkle/hash.ts'
import { verifyConsistency, verifyInclusion } from '../../src/merkle/verify.ts'
import { parseProofFile } from '../../src/note/proof-file.ts'
import { instead } from '../support/instead.ts'
import { openTestLog, type TestLog } from '../support/log.ts'
import { publishingLate } from './late.ts'
import { serve } from './server.ts'

const PROOFS = '/logs/demo/v1/proofs'
const leafOf = (index: number): Hash => leafHash(encodeUtf8(`entry ${index}`))
const hashes = (path: readonly string[]): Hash[] => path.map((text) => asHash(parseHex(text, 'path'), 'path'))

/** A log that grew one entry at a time, and its root at every size. */
async function grown(size: number): Promise<{ hosted: TestLog; roots: Hash[] }> {
  const hosted = await openTestLog()
  const roots = [hosted.log.published.root]
  for (let i = 0; i < size; i++) {
    await hosted.add(`entry ${i}`)
    roots.push(hosted.log.published.root)
  }
  return { hosted, roots }
}

test('inclusion of any index verifies at any size it is in', async () => {
  const { hosted, roots } = await grown(20)
  const server = await serve([hosted])
  for (let size = 1; size <= 20; size++) {
    const index = (size * 7) % size
    const reply = await server.get(`${PROOFS}/inclusion?index=${index}&size=${size}`)
    const proof = InclusionProof.strict().parse(reply.json())
    expect(proof).toMatchObject({ index, treeSize: size, leafHash: toHex(leafOf(index)) })
    verifyInclusion({ index, size, leaf: leafOf(index), path: hashes(proof.path), root: roots[size]! })
  }
})

test('inclusion by leaf hash is the same proof, at the published size unless another is asked for', async () => {
  const { hosted } = await grown(20)
  const server = await serve([hosted])
  const byIndex = await server.get(`${PROOFS}/inclusion?index=11`)
  const byHash = await server.get(`${PROOFS}/inclusion?hash=${toHex(leafOf(11))}`)
  expect(byHash.json()).toEqual(byIndex.json())
  expect(byHash.json()).toMatchObject({ treeSize: 20 })
  expect(byHash.headers['cache-control']).toBe('no-cache')
  const older = await server.get(`${PROOFS}/inclusion?hash=${toHex(leafOf(11))}&size=12`)
  expect(older.json()).toMatchObject({ treeSize: 12 })
  expect(older.headers['cache-control']).toBe('public, max-age=86400')
})

test('consistency between any two sizes verifies', async () => {
  const { hosted, roots } = await grown(20)
  const server = await serve([hosted])
  for (const [oldSize, newSize] of [
    [1, 20],
    [7, 13],
    [8, 20],
    [19, 20],
    [16, 16],
  ] as const) {
    const reply = await server.get(`${PROOFS}/consistency?old=${oldSize}&new=${newSize}`)
    const proof = ConsistencyProof.strict().parse(reply.json())
    expect(reply.headers['cache-control']).toBe('public, max-age=86400')
    const path = hashes(proof.path)
    verifyConsistency({ oldSize, newSize, oldRoot: roots[oldSize]!, newRoot: roots[newSize]!, path })
  }
  const open = await server.get(`${PROOFS}/consistency?old=5`)
  expect(open.json()).toMatchObject({ oldSize: 5, newSize: 20 })
  expect(open.headers['cache-control']).toBe('no-cache')
  expect((await server.get(`${PROOFS}/consistency?old=0&new=20`)).json()).toMatchObject({ path: [] })
})

test('the proof file of an entry holds its index and the published checkpoint', async () => {
  const { hosted } = await grown(9)
  const server = await serve([hosted])
  const reply = await server.get('/logs/demo/v1/entries/4/proof')
  expect(reply.headers).toMatchObject({
    'content-type': 'text/plain; charset=utf-8',
    'cache-control': 'no-cache',
  })
  const { index, path, checkpoint } = parseProofFile(reply.text)
  expect([index, checkpoint]).toEqual([4, hosted.log.published.checkpoint])
  verifyInclusion({ index, size: 9, leaf: leafOf(4), path, root: hosted.log.published.root })
})

test('the checkpoint is answered at once to those who know less', async () => {
  const { hosted } = await grown(3)
  const server = await serve([hosted])
  for (const query of ['', '?after=2', '?after=0&timeout=0']) {
    const reply = await server.get(`/logs/demo/v1/checkpoint${query}`)
    expect([reply.status, reply.text]).toEqual([200, hosted.log.published.checkpoint])
  }
})

test('who knows the newest checkpoint waits for the next one, or for the end of patience', async () => {
  const late = publishingLate(await openTestLog())
  const server = await serve([late.hosted])
  const none = await server.get('/logs/demo/v1/checkpoint?after=0&timeout=0')
  expect([none.status, none.text]).toEqual([204, ''])
  const next = server.get('/logs/demo/v1/checkpoint?after=0&timeout=60')
  await late.hosted.log.append([encodeUtf8('a')])
  await late.publish.whenAsked
  late.publish.now()
  expect((await next).text).toMatch(/\n1\n/)
})

test('a server that stops ends long polls at once, and closes connections behind its answers', async () => {
  const stop = new AbortController()
  const late = publishingLate(await openTestLog())
  const server = await serve([late.hosted], { stopping: stop.signal })
  const waiting = server.get('/logs/demo/v1/checkpoint?after=0&timeout=60')
  await late.publish.whenAsked
  stop.abort()
  const reply = await waiting
  expect([reply.status, reply.headers.connection]).toEqual([204, 'close'])
  expect((await server.get('/logs/demo/v1/checkpoint?after=0&timeout=60')).status).toBe(204)
})

test('a caller who goes away while waiting is forgotten', async () => {
  const hosted = await openTestLog()
  const signals: AbortSignal[] = []
  const log = instead(hosted.log, {
    whenPublishedPast(size, signal) {
      signals.push(signal)
      return hosted.log.whenPublishedPast(size, signal)
    },
  })
  const server = await serve([{ ...hosted, log }])
  const connection = await server.connect()
  connection.send(['GET /logs/demo/v1/checkpoint?after=0&timeout=60 HTTP/1.1'])
  await expect.poll(() => signals.length).toBe(1)
  connection.socket.destroy()
  await expect.poll(() => signals[0]!.aborted).toBe(true)
})
