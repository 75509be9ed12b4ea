import { describe, expect, test } from 'vitest'
import { parseHex } from '../../src/bytes/hex.ts'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import { asHash, leafHash, type Hash } from '../../src/merkle/hash.ts'
import { verifyConsistency, verifyInclusion } from '../../src/merkle/verify.ts'
import type { FullTileId, LogStore } from '../../src/storage/store.ts'
import { openTestLog, type TestLog } from '../support/log.ts'
import { serve, type Reply } from './server.ts'

const SIZE = 600
const SIZES = [1, 2, 200, 255, 256, 257, 300, 511, 512, 513, 599, 600]
const INDEXES = [0, 1, 77, 199, 255, 256, 300, 511, 512, 598]

/** A log of 600 entries, its true root at every size, and a disk that gives one tile with one hash changed. */
async function damaged(tile: number, position: number): Promise<{ hosted: TestLog; roots: Hash[] }> {
  const wrapStore = (store: LogStore): LogStore =>
    new Proxy(store, {
      get: (target, name) => {
        const value = Reflect.get(target, name, target) as unknown
        if (typeof value !== 'function') return value
        if (name !== 'readTiles') return value.bind(target) as unknown
        return async (tiles: readonly FullTileId[]) =>
          (await target.readTiles(tiles)).map((bytes, i) => {
            if (!bytes || tiles[i]!.level !== 0 || tiles[i]!.index !== tile) return bytes
            const rotten = Uint8Array.from(bytes)
            rotten[position * 32]! ^= 1
            return rotten
          })
      },
    })
  const hosted = await openTestLog({ wrapStore })
  const roots = [hosted.log.published.root]
  for (let i = 0; i < SIZE; i++) {
    await hosted.add(`entry ${i}`)
    roots.push(hosted.log.published.root)
  }
  return { hosted, roots }
}

const hexes = (path: unknown): Hash[] =>
  (path as string[]).map((text) => asHash(parseHex(text, 'path'), 'path'))
const base64s = (path: unknown): Hash[] =>
  (path as string[]).map((text) => asHash(new Uint8Array(Buffer.from(text, 'base64')), 'path'))

/** An answer is a true proof, or a refusal that says why. */
function judge(reply: Reply, verify: () => void): 'proven' | 'refused' {
  if (reply.status === 200) {
    verify()
    return 'proven'
  }
  expect([reply.status, reply.text]).toEqual([
    500,
    expect.stringMatching(/corrupt|does not lead|do not lead/),
  ])
  return 'refused'
}

describe.each([
  ['the first tile', 0, 77],
  ['the second tile', 1, 44],
])('with one hash changed in %s', (_, tile, position) => {
  test('every inclusion proof that leaves is true, at any size, by index and by hash', async () => {
    const { hosted, roots } = await damaged(tile, position)
    const server = await serve([hosted])
    const verdicts = { proven: 0, refused: 0 }
    for (const size of SIZES) {
      for (const index of INDEXES.filter((i) => i < size)) {
        const leaf = leafHash(encodeUtf8(`entry ${index}`))
        const verify = (path: Hash[]): void =>
          verifyInclusion({ index, size, leaf, path, root: roots[size]! })
        const native = await server.get(`/logs/demo/v1/proofs/inclusion?index=${index}&size=${size}`)
        verdicts[judge(native, () => verify(hexes(native.json()['path'])))]++
        const hash = encodeURIComponent(Buffer.from(leaf).toString('base64'))
        const ct = await server.get(`/logs/demo/ct/v1/get-proof-by-hash?hash=${hash}&tree_size=${size}`)
        // A leaf whose hash is the damaged one is not found by it.
        if (ct.status !== 404) verdicts[judge(ct, () => verify(base64s(ct.json()['audit_path'])))]++
      }
    }
    expect(verdicts.proven).toBeGreaterThan(0)
    expect(verdicts.refused).toBeGreaterThan(0)
  })

  test('every consistency proof that leaves is true, between any two sizes', async () => {
    const { hosted, roots } = await damaged(tile, position)
    const server = await serve([hosted])
    const verdicts = { proven: 0, refused: 0 }
    for (const newSize of SIZES) {
      for (const oldSize of SIZES.filter((size) => size < newSize)) {
        const [oldRoot, newRoot] = [roots[oldSize]!, roots[newSize]!]
        const verify = (path: Hash[]): void => verifyConsistency({ oldSize, newSize, oldRoot, newRoot, path })
        const native = await server.get(`/logs/demo/v1/proofs/consistency?old=${oldSize}&new=${newSize}`)
        verdicts[judge(native, () => verify(hexes(native.json()['path'])))]++
        const ct = await server.get(`/logs/demo/ct/v1/get-sth-consistency?first=${oldSize}&second=${newSize}`)
        verdicts[judge(ct, () => verify(base64s(ct.json()['consistency'])))]++
      }
    }
    expect(verdicts.refused).toBeGreaterThan(0)
  })
})

test('a proof that does not lead to the signed root leaves by no route', async () => {
  const { hosted } = await damaged(0, 77)
  const server = await serve([hosted])
  const hash = encodeURIComponent(Buffer.from(leafHash(encodeUtf8('entry 3'))).toString('base64'))
  for (const path of [
    'v1/proofs/inclusion?index=3',
    'v1/entries/3/proof',
    `ct/v1/get-proof-by-hash?tree_size=600&hash=${hash}`,
    'ct/v1/get-entry-and-proof?leaf_index=3&tree_size=600',
  ]) {
    const reply = await server.get(`/logs/demo/${path}`)
    expect([path, reply.status, reply.json()['code']]).toEqual([path, 500, 'corrupt'])
  }
})

test('with nothing damaged nothing is refused', async () => {
  const { hosted, roots } = await damaged(-1, 0)
  const server = await serve([hosted])
  for (const size of SIZES) {
    const reply = await server.get(`/logs/demo/v1/proofs/inclusion?index=0&size=${size}`)
    const leaf = leafHash(encodeUtf8('entry 0'))
    expect(
      judge(reply, () =>
        verifyInclusion({ index: 0, size, leaf, path: hexes(reply.json()['path']), root: roots[size]! }),
      ),
    ).toBe('proven')
  }
  for (const oldSize of SIZES) {
    expect((await server.get(`/logs/demo/v1/proofs/consistency?old=${oldSize}&new=600`)).status).toBe(200)
  }
})
