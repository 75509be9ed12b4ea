import { describe, expect, test } from 'vitest'
import { sha256 } from '../../src/merkle/hash.ts'
import { LevelLeafIndex, MemoryLeafIndex, type LeafIndex } from '../../src/storage/leaf-index.ts'
import { testFolder } from '../support/folder.ts'

const hash = (n: number): Uint8Array => sha256(Uint8Array.of(n))
const slab = (...numbers: number[]): Uint8Array => Buffer.concat(numbers.map(hash))

describe.each<[string, () => Promise<[LeafIndex, (index: LeafIndex) => Promise<LeafIndex>]>]>([
  ['memory', async () => [new MemoryLeafIndex(), async (index) => index]],
  [
    'LevelDB',
    async () => {
      const folder = `${testFolder()}/leaf-index`
      const reopen = async (index: LeafIndex): Promise<LeafIndex> => {
        await index.close()
        return LevelLeafIndex.open(folder)
      }
      return [await LevelLeafIndex.open(folder), reopen]
    },
  ],
])('the leaf index in %s', (_, make) => {
  test('starts empty, and finds what was written, in the order asked', async () => {
    const [index] = await make()
    expect(index.cursor).toBe(0)
    expect(await index.lookup(slab(1, 2))).toEqual([undefined, undefined])
    await index.write([
      { hash: hash(1), index: 0 },
      { hash: hash(2), index: 2 ** 40 },
    ])
    expect(await index.lookup(slab(2, 3, 1))).toEqual([2 ** 40, undefined, 0])
    await index.close()
  })

  test('keeps its cursor and its leaves over a restart', async () => {
    const [index, reopen] = await make()
    await index.write([{ hash: hash(1), index: 7 }])
    await index.moveCursor(8)
    const again = await reopen(index)
    expect(again.cursor).toBe(8)
    expect(await again.lookup(slab(1))).toEqual([7])
    await again.close()
  })
})
