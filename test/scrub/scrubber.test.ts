import { describe, expect, onTestFinished, test } from 'vitest'
import { toHex } from '../../src/bytes/hex.ts'
import { SteleError } from '../../src/errors.ts'
import { decodeHead, encodeHead } from '../../src/log/head.ts'
import type { Log } from '../../src/log/log.ts'
import type { StoredParts } from '../../src/log/options.ts'
import { leafHash } from '../../src/merkle/hash.ts'
import type { LeafIndex } from '../../src/storage/leaf-index.ts'
import type { Inspected } from '../../src/storage/store.ts'
import { StoredLog, texts } from '../instance/fixture.ts'
import { MemoryCursor, Rot, Scrubbing, SleepClock } from './fixture.ts'

const READ_FAILED = new SteleError('io_error', 'the disk did not answer')

/** A log on disk that is open, with this many entries, and the rot that stands before its store. */
async function logOf(
  size: number,
  batch = 256,
): Promise<{ log: Log; rot: Rot; parts: StoredParts; stored: StoredLog }> {
  const stored = await StoredLog.create()
  await stored.append(texts(0, size), batch)
  const log = await stored.open()
  onTestFinished(() => log.close())
  const rot = new Rot()
  return { stored, log, rot, parts: { ...log.stored, store: rot.around(log.stored.store, READ_FAILED) } }
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

describe('a log that is whole', () => {
  test.each([0, 1, 255, 256, 257, 700, 1024])(
    'of size %i passes, and all of it was verified',
    async (size) => {
      const { log, rot, parts } = await logOf(size, 100)
      const scrubbing = new Scrubbing(log, { parts })
      await scrubbing.passed()
      expect(scrubbing.found).toEqual([])
      expect(scrubbing.passes[0]).toMatchObject({ pass: 1, leaves: size, findings: 0 })
      const read = new Set(rot.reads)
      for (let i = 0; i < size; i++) expect(read).toContain(`entry ${i}`)
      for (let i = 0; i < Math.floor(size / 256); i++) expect(read).toContain(`tile 0/${i}`)
      expect(read).toContain(`head of size ${size}`)
    },
  )

  test('of 100,000 leaves passes with a few entries in memory at a time', async () => {
    const { log, rot, parts } = await logOf(100_000, 8192)
    const scrubbing = new Scrubbing(log, { parts })
    await scrubbing.passed()
    expect(scrubbing.found).toEqual([])
    expect([rot.mostAtOnce, rot.callsAtOnce]).toEqual([64, 1])
    expect(scrubbing.status).toMatchObject({ findingCount: 0, readErrors: 0 })
    expect(scrubbing.passes[0]!.bytesRead).toBeGreaterThan(100_000 * 20)
  }, 60_000)

  test('may grow meanwhile: what is new is verified by the next pass at the latest', async () => {
    const { log, parts } = await logOf(600)
    const scrubbing = new Scrubbing(log, { parts })
    let size = 600
    while (scrubbing.passes.length < 3) {
      await log.append(texts(size, size + 37).map(bytes))
      size += 37
    }
    const passes = scrubbing.passes.length
    await scrubbing.passed(passes + 2)
    expect(scrubbing.found).toEqual([])
    expect(scrubbing.passes.at(-1)!.leaves).toBe(size)
  })
})

describe('damage under a running log', () => {
  /** [what is done, where, what is expected, what is found] */
  const hashOf = (text: string): string => toHex(leafHash(bytes(text)))
  const TEXTS = texts(0, 700)

  test('a flipped bit in an entry is found with both leaf hashes, and nothing else is blamed', async () => {
    const { log, rot, parts } = await logOf(700)
    rot.flip('entry 300', 2)
    const scrubbing = new Scrubbing(log, { parts })
    await scrubbing.passed(3)
    expect(scrubbing.places).toEqual(['entry 300'])
    const [finding] = scrubbing.found
    expect(finding!.expected).toBe(`leaf hash ${hashOf(TEXTS[300]!)}`)
    const changed = Uint8Array.from(bytes(TEXTS[300]!))
    changed[2]! ^= 1
    expect(finding!.found).toBe(`leaf hash ${toHex(leafHash(changed))}`)
    expect(scrubbing.status).toMatchObject({ findingCount: 1 })
  })

  const nothing = (): Inspected => undefined
  const unreadable = (): Inspected => new SteleError('corrupt', 'block checksum mismatch')
  const other = (): Inspected => new Uint8Array(8192).fill(7)
  const cases: [what: string, place: string, rot: (stored: Inspected) => Inspected, found: RegExp][] = [
    ['an entry that is gone', 'entry 3', nothing, /^nothing$/],
    ['an entry of the tail that is gone', 'entry 699', nothing, /^nothing$/],
    ['another entry in its place', 'entry 511', () => bytes('another'), new RegExp(hashOf('another'))],
    ['another entry in the tail', 'entry 650', () => bytes('another'), new RegExp(hashOf('another'))],
    ['an entry that LevelDB cannot read', 'entry 4', unreadable, /cannot be read.*checksum/],
    ['a tile that is gone', 'tile 0/0', nothing, /^nothing$/],
    ['a tile that is too short', 'tile 0/1', () => new Uint8Array(32), /^32 bytes/],
    ['another tile in its place', 'tile 0/1', other, /^0707/],
    ['a tile that LevelDB cannot read', 'tile 0/1', unreadable, /cannot be read/],
    ['the newest head that is gone', 'head of size 700', nothing, /^nothing$/],
    ['an older head that is no head', 'head of size 256', () => bytes('?'), /cut short/],
  ]
  test.each(cases)('%s is found and named', async (_, place, change, found) => {
    const { log, rot, parts } = await logOf(700)
    rot.change(place, change)
    const scrubbing = new Scrubbing(log, { parts })
    await scrubbing.passed(2)
    expect(scrubbing.places).toEqual([place])
    expect(scrubbing.found[0]!.found).toMatch(found)
    expect(scrubbing.found[0]!.message).toContain(place)
  })

  test('a head with a flipped signature, and one of another tree of ours, are found', async () => {
    const { log, rot, parts } = await logOf(700)
    rot.flip('head of size 256', 60)
    const wrong = decodeHead(
      (await log.stored.store.inspect([{ kind: 'head', size: 512 }]))[0] as Uint8Array,
      'test',
    )
    rot.change('head of size 700', () => encodeHead(wrong))
    const scrubbing = new Scrubbing(log, { parts })
    await scrubbing.passed()
    expect(scrubbing.places.toSorted()).toEqual(['head of size 256', 'head of size 700'])
    expect(scrubbing.found.find(({ place }) => place.endsWith('700'))!.found).toBe('one of size 512')
  })

  test('a damaged tile of level 1 is named, and does not hide a damaged entry below it', async () => {
    const { log, rot, parts } = await logOf(66_000, 4096)
    rot.flip('tile 1/0', 32 * 5 + 3)
    rot.flip('entry 300')
    const scrubbing = new Scrubbing(log, { parts })
    await scrubbing.passed()
    expect(scrubbing.places.toSorted()).toEqual(['entry 300', 'tile 1/0'])
    expect(scrubbing.found.find(({ place }) => place === 'tile 1/0')!.expected).toContain('at position 5')
  }, 60_000)

  test('a tile and an entry below it: the tile is named with the root it must have', async () => {
    const { log, rot, parts } = await logOf(700)
    rot.flip('tile 0/1')
    rot.flip('entry 300')
    const scrubbing = new Scrubbing(log, { parts })
    await scrubbing.passed()
    expect(scrubbing.places).toEqual(['tile 0/1'])
    expect(scrubbing.found[0]!.expected).toMatch(/^hashes with root [0-9a-f]{64}$/)
  })

  test('a leaf that the index has lost, or leads elsewhere, is found within sixteen passes', async () => {
    const { log, parts } = await logOf(30)
    const lost = { hash: leafHash(bytes(TEXTS[17]!)), index: 18 }
    await (parts.index as LeafIndex).write([lost])
    const scrubbing = new Scrubbing(log, { parts })
    await scrubbing.passed(20)
    expect(scrubbing.places).toEqual(['leaf index, leaf 17'])
    expect(scrubbing.found[0]).toMatchObject({ expected: 'index 17', found: 'index 18' })
    expect(scrubbing.status.findingCount).toBe(1)
  })

  test('what is repaired is good again without waiting for the next pass', async () => {
    const { log, rot, parts } = await logOf(700)
    rot.flip('tile 0/1')
    const scrubbing = new Scrubbing(log, { parts })
    await scrubbing.until(() => scrubbing.found.length === 1)
    rot.heal()
    await scrubbing.until(() => scrubbing.cleared.length === 1)
    expect(scrubbing.passes.length).toBeLessThan(2)
    expect([scrubbing.cleared, scrubbing.status.findingCount]).toEqual([['tile 0/1'], 0])
  })

  test('a finding that changes is reported again, one that stays is not', async () => {
    const { log, rot, parts } = await logOf(700)
    rot.flip('entry 300', 1)
    const scrubbing = new Scrubbing(log, { parts })
    await scrubbing.passed(2)
    rot.flip('entry 300', 2)
    await scrubbing.passed(4)
    expect([scrubbing.places, scrubbing.cleared]).toEqual([['entry 300', 'entry 300'], []])
    expect(scrubbing.found[0]!.found).not.toBe(scrubbing.found[1]!.found)
  })

  test('more damage than can be listed is counted', async () => {
    const { log, rot, parts } = await logOf(700)
    for (let i = 0; i < 150; i++) rot.flip(`entry ${i}`)
    const scrubbing = new Scrubbing(log, { parts })
    await scrubbing.passed(3)
    expect([scrubbing.found.length, scrubbing.status.findings.length, scrubbing.status.findingCount]).toEqual(
      [100, 100, 150],
    )
  })
})

describe('a disk that does not answer', () => {
  test('for a moment is no damage: it is read again', async () => {
    const { log, rot, parts } = await logOf(700)
    rot.failing = 3
    const scrubbing = new Scrubbing(log, { parts })
    await scrubbing.passed()
    expect([scrubbing.found, rot.failed, scrubbing.status.readErrors]).toEqual([[], 3, 3])
  })

  test('and gives other bytes once is no damage either', async () => {
    const { log, rot, parts } = await logOf(700)
    let times = 0
    rot.change('entry 5', (stored) => (times++ === 0 ? bytes('noise') : stored))
    const scrubbing = new Scrubbing(log, { parts })
    await scrubbing.passed()
    expect(times).toBeGreaterThan(1)
    expect([scrubbing.found, scrubbing.status.findingCount]).toEqual([[], 0])
  })

  test('for good is said to be unreadable, and the rest is still verified', async () => {
    const { log, rot, parts } = await logOf(700)
    rot.change('entry 300', () => {
      throw READ_FAILED
    })
    rot.flip('entry 600')
    const scrubbing = new Scrubbing(log, { parts })
    await scrubbing.passed()
    expect(scrubbing.places).toEqual(['entries 256 to 511', 'entry 600'])
    expect(scrubbing.found[0]!.found).toContain('did not answer')
  })
})

describe('the cursor', () => {
  test('lets a restart go on where it was, with what was known', async () => {
    const { log, rot, parts } = await logOf(2000)
    rot.flip('entry 600')
    const cursor = new MemoryCursor()
    const clock = new SleepClock()
    const first = new Scrubbing(log, { parts, cursor, clock })
    await first.until(() => first.found.length === 1)
    clock.hold()
    await first.scrubber.close()
    expect(first.passes).toEqual([])

    rot.reads = []
    const second = new Scrubbing(log, { parts, cursor })
    await second.passed()
    // Reported before the restart, looked at again first of all, and not reported twice.
    expect([second.found, second.status.findingCount]).toEqual([[], 1])
    expect(rot.reads).toContain('entry 600')
    await second.passed()
    expect(second.passes[0]).toMatchObject({ pass: 1, leaves: 2000, findings: 1 })
    for (const place of ['entry 0', 'entry 300', 'tile 0/0']) expect(rot.reads).not.toContain(place)
  })

  test('is moved at least every few seconds, so that a crash costs little', async () => {
    const { log, parts } = await logOf(3000)
    const cursor = new MemoryCursor()
    const clock = new SleepClock()
    const scrubbing = new Scrubbing(log, { parts, cursor, clock, bytesPerSecond: 5000 })
    await scrubbing.passed()
    const saved = JSON.parse(Buffer.from(cursor.bytes!).toString()) as { leaves: number; lastPass: unknown }
    expect(saved).toMatchObject({ leaves: 3000, lastPass: { pass: 1, leaves: 3000 } })
  })

  test.each(['', '{', '{"format":"stele scrub cursor 2"}', '{"format":"stele scrub cursor 1","next":-1}'])(
    'that is damaged (%j) costs a pass and nothing else',
    async (text) => {
      const { log, parts } = await logOf(700)
      const cursor = new MemoryCursor()
      cursor.bytes = bytes(text)
      const scrubbing = new Scrubbing(log, { parts, cursor })
      await scrubbing.passed()
      expect([scrubbing.found, scrubbing.passes[0]!.leaves]).toEqual([[], 700])
    },
  )

  test('that cannot be written does not keep the scrubber from its work', async () => {
    const { log, parts } = await logOf(700)
    const cursor = { read: async () => undefined, write: () => Promise.reject(new Error('disk full')) }
    const scrubbing = new Scrubbing(log, { parts, cursor })
    await scrubbing.passed()
    expect(scrubbing.readErrors.join()).toContain('disk full')
  })
})

describe('its share of the machine', () => {
  test('the rate is kept over a whole pass', async () => {
    const { log, parts } = await logOf(5000, 1000)
    const clock = new SleepClock()
    const startedMs = clock.ms
    const scrubbing = new Scrubbing(log, { parts, clock, bytesPerSecond: 10_000 })
    await scrubbing.passed()
    const { bytesRead, finishedAtMs } = scrubbing.passes[0]!
    const rate = (bytesRead * 1000) / (finishedAtMs - startedMs)
    expect(rate).toBeLessThanOrEqual(10_000)
    expect(rate).toBeGreaterThan(9000)
  })

  test('a small log is not read over and over: passes begin an hour apart', async () => {
    const { log, parts } = await logOf(10)
    const scrubbing = new Scrubbing(log, { parts })
    await scrubbing.passed(3)
    const [first, second, third] = scrubbing.passes.map(({ startedAtMs }) => startedAtMs)
    expect(second! - first!).toBeGreaterThanOrEqual(3_600_000)
    expect(third! - second!).toBeGreaterThanOrEqual(3_600_000)
  })

  test('closing ends a wait at once, and nothing is read after it', async () => {
    const { log, rot, parts } = await logOf(700)
    const clock = new SleepClock()
    clock.hold()
    const scrubbing = new Scrubbing(log, { parts, clock, bytesPerSecond: 1 })
    await scrubbing.scrubber.close()
    const reads = rot.reads.length
    expect(reads).toBeLessThan(700)
    await log.close()
    expect(rot.reads.length).toBe(reads)
  })
})
