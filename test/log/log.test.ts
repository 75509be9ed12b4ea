import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { toHex } from '../../src/bytes/hex.ts'
import { leafHash } from '../../src/merkle/hash.ts'
import { verifyConsistency, verifyInclusion } from '../../src/merkle/verify.ts'
import type { SignedHead } from '../../src/log/head.ts'
import { parseProofFile } from '../../src/note/proof-file.ts'
import { bytes, checkDisk, Disk, openTestLog } from './fixture.ts'

const lines = (begin: number, end: number): Uint8Array[] =>
  Array.from({ length: end - begin }, (_, i) => bytes(`entry ${begin + i}`))

describe('appending', () => {
  test('a lone entry gets the next index and a signed head that covers it', async () => {
    const disk = await Disk.create()
    const log = await openTestLog(disk)
    const { placements, treeSize } = await log.append([bytes('hello')])
    expect(placements).toEqual([{ index: 0, leafHash: leafHash(bytes('hello')), duplicate: false }])
    expect(treeSize).toBe(1)
    expect(log.published.size).toBe(1)
    expect(log.published.checkpoint).toMatch(/^log\.example\/test\n1\n/)
    await log.close()
    expect(await checkDisk(disk)).toEqual(['hello'])
  })

  test('entries that come at once share commits, and every one keeps its place', async () => {
    const disk = await Disk.create()
    const log = await openTestLog(disk)
    const all = await Promise.all(lines(0, 1000).map((entry) => log.append([entry])))
    expect(all.map(({ placements }) => placements[0]!.index)).toEqual(
      Array.from({ length: 1000 }, (_, i) => i),
    )
    expect(log.status.commits).toBeLessThan(20)
    await log.close()
    expect((await checkDisk(disk)).length).toBe(1000)
  })

  test('no entries are appended at once, and change nothing', async () => {
    const disk = await Disk.create()
    const log = await openTestLog(disk)
    expect(await log.append([])).toEqual({ placements: [], treeSize: 0 })
    await log.close()
    expect(await checkDisk(disk)).toEqual([])
  })

  test('a batch gets consecutive indexes, whatever else is on its way', async () => {
    const disk = await Disk.create()
    const log = await openTestLog(disk, {
      pool: { maxEntries: 100_000, maxBytes: 1e9, maxCommitEntries: 100, maxCommitBytes: 1e8 },
    })
    const batches = await Promise.all([
      log.append(lines(0, 250)),
      log.append(lines(1000, 1001)),
      log.append(lines(2000, 2300)),
    ])
    for (const { placements } of batches) {
      const first = placements[0]!.index
      expect(placements.map(({ index }) => index)).toEqual(placements.map((_, i) => first + i))
    }
    await log.close()
    expect((await checkDisk(disk)).length).toBe(551)
  })

  test('whatever the batching, the root is the same', async () => {
    const grow = async (cuts: number[]): Promise<string> => {
      const disk = await Disk.create()
      const log = await openTestLog(disk)
      let begin = 0
      for (const cut of [...cuts, 600].sort((a, b) => a - b)) {
        if (cut > begin) await log.append(lines(begin, cut))
        begin = Math.max(begin, cut)
      }
      await log.close()
      return toHex(log.integrated.root)
    }
    const whole = await grow([])
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 599 }), { maxLength: 8 }), async (cuts) => {
        expect(await grow(cuts)).toBe(whole)
      }),
      { numRuns: 20 },
    )
  })
})

describe('duplicates', () => {
  test('the same bytes get the same index while in flight, when indexed, and after a restart', async () => {
    const disk = await Disk.create()
    const log = await openTestLog(disk)
    const [a, b] = await Promise.all([log.append([bytes('x')]), log.append([bytes('x')])])
    const c = await log.append([bytes('x')])
    await log.close()
    const again = await openTestLog(disk)
    const d = await again.append([bytes('x')])
    await again.close()
    expect([a, b, c, d].map(({ placements }) => [placements[0]!.index, placements[0]!.duplicate])).toEqual([
      [0, false],
      [0, true],
      [0, true],
      [0, true],
    ])
    expect(await checkDisk(disk)).toEqual(['x'])
  })

  test('a batch with old, repeated and new entries adds the new ones in one run', async () => {
    const disk = await Disk.create()
    const log = await openTestLog(disk)
    await log.append([bytes('old')])
    const { placements } = await log.append(['a', 'old', 'b', 'a', 'c'].map(bytes))
    await log.close()
    expect(placements.map(({ index, duplicate }) => [index, duplicate])).toEqual([
      [1, false],
      [0, true],
      [2, false],
      [1, true],
      [3, false],
    ])
    expect(await checkDisk(disk)).toEqual(['old', 'a', 'b', 'c'])
  })

  test('random submissions over a small alphabet log each entry exactly once', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.integer({ min: 0, max: 30 }), { minLength: 1, maxLength: 12 }), {
          maxLength: 30,
        }),
        async (submissions) => {
          const disk = await Disk.create()
          const log = await openTestLog(disk)
          const answers = await Promise.all(submissions.map((s) => log.append(s.map((n) => bytes(`${n}`)))))
          await log.close()
          const stored = await checkDisk(disk)
          expect(new Set(stored).size).toBe(stored.length)
          answers.forEach(({ placements }, i) => {
            expect(placements.map(({ index }) => stored[index])).toEqual(submissions[i]!.map(String))
          })
        },
      ),
      { numRuns: 40 },
    )
  })

  test('a log that allows duplicates gives every entry a leaf, and look-ups the lowest index', async () => {
    const disk = await Disk.create()
    const log = await openTestLog(disk, { allowDuplicates: true })
    const { placements } = await log.append(['x', 'y', 'x'].map(bytes))
    await log.append([bytes('x')])
    expect(placements.map(({ index, duplicate }) => [index, duplicate])).toEqual([
      [0, false],
      [1, false],
      [2, false],
    ])
    expect(await log.findLeaf(leafHash(bytes('x')))).toBe(0)
    await log.close()
    const again = await openTestLog(disk, { allowDuplicates: true })
    expect(await again.findLeaf(leafHash(bytes('x')))).toBe(0)
    await again.close()
    expect(await checkDisk(disk)).toEqual(['x', 'y', 'x', 'x'])
  })

  test('an index that has rotted is not believed', async () => {
    const disk = await Disk.create()
    const log = await openTestLog(disk)
    await log.append(['a', 'b'].map(bytes))
    await log.close()
    await disk.index.write([{ hash: leafHash(bytes('c')), index: 0 }])
    await disk.index.write([{ hash: leafHash(bytes('d')), index: 77 }])
    const again = await openTestLog(disk)
    const { placements } = await again.append(['c', 'd'].map(bytes))
    expect(placements.map(({ index }) => index)).toEqual([2, 3])
    await again.close()
    expect(await checkDisk(disk)).toEqual(['a', 'b', 'c', 'd'])
  })
})

describe('reading', () => {
  test('every entry is provable in every published tree, and every head extends those before it', async () => {
    const disk = await Disk.create()
    const log = await openTestLog(disk)
    const heads: SignedHead[] = []
    for (const size of [1, 2, 3, 255, 256, 257, 700]) {
      await log.append(lines(heads.at(-1)?.size ?? 0, size))
      heads.push(log.published)
    }
    for (const head of heads) {
      for (const index of [0, 1, 254, 255, 256, 699].filter((i) => i < head.size)) {
        const path = await log.proveInclusion(index, head.size)
        const leaf = leafHash(bytes(`entry ${index}`))
        verifyInclusion({ index, size: head.size, leaf, path, root: head.root })
      }
      for (const older of heads.filter(({ size }) => size <= head.size)) {
        const path = await log.proveConsistency(older.size, head.size)
        verifyConsistency({
          oldSize: older.size,
          newSize: head.size,
          oldRoot: older.root,
          newRoot: head.root,
          path,
        })
      }
    }
    await log.close()
  })

  test('a proof that does not lead to the signed root is never handed out', async () => {
    const disk = await Disk.create()
    const log = await openTestLog(disk)
    await log.append(lines(0, 300))
    const { size, root, checkpoint } = log.published
    const leaf = leafHash(bytes('entry 3'))
    verifyInclusion({ index: 3, size, leaf, path: await log.proveInclusion(3), root })
    const file = parseProofFile(await log.proofFile(3))
    verifyInclusion({ index: file.index, size, leaf, path: file.path, root })
    expect(file.checkpoint).toBe(checkpoint)
    await expect(log.proveInclusion(3, size, leafHash(bytes('entry 4')))).rejects.toMatchObject({
      code: 'corrupt',
    })
    for (const [index, of] of [
      [300, 300],
      [3, 301],
      [-1, 300],
      [0.5, 300],
      [3, 3],
    ] as const) {
      await expect(log.proveInclusion(index, of)).rejects.toMatchObject({ code: 'out_of_range' })
    }

    await log.close()
    const again = await openTestLog(disk)
    const read = disk.store.readTiles.bind(disk.store)
    disk.store.readTiles = async (tiles) =>
      (await read(tiles)).map((hashes) => hashes && Uint8Array.from(hashes).fill(7, 0, 32))
    // Entry 3 is proven by its neighbour and by the pair before it, in which the damaged hash is.
    for (const of of [4, 256, 300]) {
      await expect(again.proveInclusion(3, of)).rejects.toMatchObject({ code: 'corrupt' })
    }
    await expect(again.proofFile(0)).rejects.toMatchObject({ code: 'corrupt' })
    await expect(again.proveConsistency(3, 300)).rejects.toMatchObject({ code: 'corrupt' })
    await again.close()
  })

  test('a waiting reader is woken by growth, by its own deadline, and by the end of the log', async () => {
    const log = await openTestLog(await Disk.create())
    const never = new AbortController()
    const grown = log.whenPublishedPast(0, never.signal)
    await log.append([bytes('x')])
    expect(await grown).toBe(true)
    const deadline = new AbortController()
    const late = log.whenPublishedPast(1, deadline.signal)
    deadline.abort()
    expect(await late).toBe(false)
    const ended = log.whenPublishedPast(1, never.signal)
    await log.close()
    expect(await ended).toBe(false)
  })

  test('tiles are as wide as asked, and refused beyond the published size', async () => {
    const log = await openTestLog(await Disk.create())
    await log.append(lines(0, 300))
    expect((await log.readTile({ level: 0, index: 0, width: 256 })).length).toBe(8192)
    expect((await log.readTile({ level: 0, index: 1, width: 44 })).length).toBe(44 * 32)
    expect((await log.readTile({ level: 0, index: 1, width: 3 })).length).toBe(96)
    expect((await log.readTile({ level: 1, index: 0, width: 1 })).length).toBe(32)
    for (const tile of [
      { level: 0, index: 1, width: 45 },
      { level: 1, index: 0, width: 2 },
      { level: 2, index: 0, width: 1 },
      { level: 0, index: 2, width: 1 },
    ]) {
      await expect(log.readTile(tile)).rejects.toMatchObject({ code: 'not_found' })
    }
    await log.close()
  })
})

describe('bounds', () => {
  const small = { maxEntries: 10, maxBytes: 100_000, maxCommitEntries: 100, maxCommitBytes: 1e6 }

  test('past the bound nothing is claimed, the answer says when to come back, and room returns', async () => {
    const disk = await Disk.create()
    const log = await openTestLog(disk, { pool: small })
    const first = log.append(lines(0, 10), 'a')
    await expect(log.append(lines(10, 11), 'b')).rejects.toMatchObject({
      code: 'overloaded',
      retryAfterSeconds: 1,
    })
    await first
    await log.append(lines(10, 11), 'b')
    await log.close()
    expect((await checkDisk(disk)).length).toBe(11)
  })

  test('one caller cannot take the whole queue', async () => {
    const log = await openTestLog(await Disk.create(), { pool: { ...small, maxEntries: 1000 } })
    const big = (n: number): Uint8Array => new Uint8Array(30_000).fill(n)
    const first = log.append([big(1)], 'a')
    await expect(log.append([big(2)], 'a')).rejects.toMatchObject({ code: 'rate_limited' })
    const other = log.append([big(3)], 'b')
    await Promise.all([first, other])
    await log.close()
  })

  test('a stopping log answers what it admitted and refuses the rest', async () => {
    const disk = await Disk.create()
    const log = await openTestLog(disk)
    const admitted = Promise.all(lines(0, 50).map((entry) => log.append([entry])))
    const closing = log.close()
    await expect(log.append([bytes('late')])).rejects.toMatchObject({ code: 'shutting_down' })
    expect((await admitted).length).toBe(50)
    await closing
    expect((await checkDisk(disk)).length).toBe(50)
  })
})

describe('the clock', () => {
  test('set back, it does not set back timestamps', async () => {
    const disk = await Disk.create(9000)
    let nowMs = 10_000
    const log = await openTestLog(disk, { nowMs: () => nowMs })
    await log.append([bytes('a')])
    const before = log.published.timestampMs
    nowMs = 50
    await log.append([bytes('b')])
    expect(log.published.timestampMs).toBe(before + 1)
    await log.close()
    const again = await openTestLog(disk, { nowMs: () => nowMs })
    await again.append([bytes('c')])
    expect(again.published.timestampMs).toBe(before + 2)
    await again.close()
  })

  test('an idle log signs its head anew, with a later time and the same tree', async () => {
    const disk = await Disk.create()
    let nowMs = 10_000
    const log = await openTestLog(disk, { headIntervalMs: 5, nowMs: () => (nowMs += 10) })
    await log.append([bytes('a')])
    const { timestampMs, root } = log.published
    await expect.poll(() => log.published.timestampMs).toBeGreaterThan(timestampMs)
    expect(log.published.root).toEqual(root)
    await log.close()
    expect(await checkDisk(disk)).toEqual(['a'])
  })

  test.each([
    ['at once where the head was due while the log was closed', 7_200_000],
    ['when it is due by the age of the head, not by the start', 3_600_000 - 10],
    ['no later than after an interval where the head is from the future', -10],
  ])('an opened log signs its head again %s', async (_, ageMs) => {
    const disk = await Disk.create(9_000_000)
    const nowMs = () => 9_000_000 + ageMs
    const headIntervalMs = ageMs < 0 ? 20 : 3_600_000
    const log = await openTestLog(disk, { headIntervalMs, nowMs })
    await expect.poll(() => log.published.timestampMs).toBeGreaterThanOrEqual(Math.max(nowMs(), 9_000_001))
    await log.close()
    expect(await checkDisk(disk)).toEqual([])
  })

  test('a log that is opened while its head is young signs nothing', async () => {
    const disk = await Disk.create(9000)
    const log = await openTestLog(disk, { headIntervalMs: 3_600_000, nowMs: () => 10_000 })
    await log.close()
    expect(log.published.timestampMs).toBe(9000)
  })
})
