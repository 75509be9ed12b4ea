import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
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

test('a damaged block is named, and look-ups in it find nothing from then on', async () => {
  const folder = `${testFolder()}/leaf-index`
  const hashes = Array.from({ length: 3000 }, (_, i) => createHash('sha256').update(`${i}`).digest())
  const index = await LevelLeafIndex.open(folder)
  await index.write(hashes.map((hash, i) => ({ hash, index: i })))
  await index.moveCursor(hashes.length)
  await index.close()
  await (await LevelLeafIndex.open(folder)).close()
  const table = readdirSync(folder).find((name) => name.endsWith('.ldb'))!
  const bytes = readFileSync(join(folder, table))
  // As a page that was never written: this ended the process.
  bytes.fill(0, 4096, 8192)
  writeFileSync(join(folder, table), bytes)

  const damaged = await LevelLeafIndex.open(folder)
  const turn = async (): Promise<void> => {}
  // Opening has read the file for the cursor in it.
  const atOnce = await damaged.checkFiles([0.99, 1], turn)
  const { faults, bytesRead } = await damaged.checkFiles([0, 0.5], turn)
  expect(atOnce).toEqual({ bytesRead: 0, faults })
  expect([faults.length > 0, bytesRead]).toEqual([true, bytes.length])
  for (const { place, message } of faults) {
    expect(place).toMatch(new RegExp(`^${table}, data block at byte \\d+$`))
    expect(message).toContain('delete the folder of the leaf index')
  }
  const found = await damaged.lookup(Buffer.concat(hashes))
  const missing = found.filter((answer) => answer === undefined).length
  expect([missing > 0, missing < 1000]).toEqual([true, true])
  found.forEach((answer, i) => expect([undefined, i]).toContain(answer))
  // Those that are known are read again where no share is said.
  expect(await damaged.checkFiles(undefined, turn)).toEqual({ faults, bytesRead })
  await damaged.close()
})
