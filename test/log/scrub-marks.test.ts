import { describe, expect, onTestFinished, test } from 'vitest'
import type { ScrubFile } from '../../src/log/scrub-cursor.ts'
import { ScrubMarks, type ScrubMarkFiles } from '../../src/log/scrub-marks.ts'
import { LEAF_INDEX_REGION } from '../../src/log/scrub-region.ts'
import { ScrubTurns } from '../../src/log/scrub-turns.ts'
import { StoredLog, texts } from '../server/fixture.ts'
import { MemoryCursor, Rot, Scrubbing } from './scrub-fixture.ts'
import { SteleError } from '../../src/errors.ts'

const newFiles = (): { reading: MemoryCursor; deaths: MemoryCursor } => ({
  reading: new MemoryCursor(),
  deaths: new MemoryCursor(),
})

/** What the next process knows. */
async function started(files: ScrubMarkFiles, regions = 10): Promise<ScrubMarks> {
  const marks = new ScrubMarks(files, () => {})
  await marks.load(regions)
  return marks
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

describe('a process that dies', () => {
  test('in one region twice does not read it a third time, whatever else it reads', async () => {
    const files = newFiles()
    await (await started(files)).enter(5)
    const second = await started(files)
    expect([second.deathsIn(5), second.refuses(5), second.regions()]).toEqual([1, false, [5]])
    await second.enter(5)
    const third = await started(files)
    expect([third.deathsIn(5), third.refuses(5), third.refuses(4)]).toEqual([2, true, false])
    await third.survived(5)
    await third.enter(4)
    await third.leave()
    expect((await started(files)).refuses(5)).toBe(true)
  })

  test('once, and reads the region to its end after that, has forgotten it', async () => {
    const files = newFiles()
    for (let round = 0; round < 5; round++) {
      await (await started(files)).enter(5)
      const next = await started(files)
      expect(next.refuses(5)).toBe(false)
      await next.enter(5)
      await next.leave()
      await next.survived(5)
    }
    expect((await started(files)).regions()).toEqual([])
  })

  test('between two reads has died of something else', async () => {
    const files = newFiles()
    const marks = await started(files)
    for (const region of [1, LEAF_INDEX_REGION, 2]) await marks.enter(region)
    await marks.leave()
    expect((await started(files)).regions()).toEqual([])
  })

  test('and cannot keep that it did, does not read the region at all: it would be the first time for ever', async () => {
    const files = newFiles()
    await (await started(files)).enter(5)
    const full: ScrubFile = {
      read: () => files.deaths.read(),
      write: () => Promise.reject(new Error('full')),
    }
    expect((await started({ ...files, deaths: full })).refuses(5)).toBe(true)
  })
})

test.each(['', '5', '5\n', 'x'.repeat(24), ' '.repeat(24), `${'9'.repeat(23)}\n`, '10\n'.padStart(24)])(
  'a mark that a power cut has left as %j is none',
  async (text) => {
    const files = newFiles()
    files.reading.bytes = bytes(text)
    files.deaths.bytes = bytes('{"half')
    expect((await started(files)).regions()).toEqual([])
  },
)

test('every mark is as long as any other: it is written in place', async () => {
  const files = newFiles()
  const marks = await started(files)
  const lengths = new Set<number>()
  for (const region of [0, LEAF_INDEX_REGION, 2 ** 40, 7]) {
    await marks.enter(region)
    lengths.add(files.reading.bytes!.length)
  }
  await marks.leave()
  lengths.add(files.reading.bytes!.length)
  expect([...lengths]).toEqual([24])
})

describe('a scrubber', () => {
  async function scrubbed(deaths: string) {
    const stored = await StoredLog.create()
    await stored.append(texts(0, 700), 256)
    const log = await stored.open()
    onTestFinished(() => log.close())
    const rot = new Rot()
    let lookups = 0
    const { store, index } = log.stored
    const parts = {
      ...log.stored,
      store: rot.around(store, new SteleError('io_error', 'not used')),
      index: {
        cursor: index.cursor,
        lookup: (hashes: Uint8Array) => (lookups++, index.lookup(hashes)),
      },
    }
    const marks = newFiles()
    marks.deaths.bytes = bytes(deaths)
    const scrubbing = new Scrubbing(log, { parts, marks })
    await scrubbing.passed(2)
    return { scrubbing, rot, lookups }
  }

  test('reads nothing of a region that the process died of twice, names it, and reads the rest', async () => {
    const { scrubbing, rot } = await scrubbed('[[1,2]]')
    expect(scrubbing.places).toEqual(['entries 256 to 511'])
    expect(scrubbing.status).toMatchObject({ findingCount: 1, readErrors: 0 })
    for (const place of ['entry 256', 'entry 511', 'tile 0/1', 'head of size 256'])
      expect(rot.reads).not.toContain(place)
    for (const place of ['entry 255', 'entry 512', 'tile 0/0', 'head of size 700'])
      expect(rot.reads).toContain(place)
  })

  test('looks nothing up in a leaf index that the process died of twice', async () => {
    const { scrubbing, lookups } = await scrubbed('[[-1,2]]')
    expect([scrubbing.places, lookups]).toEqual([['leaf index'], 0])
  })

  test('says what the process may have died of, reads it first, and forgets it', async () => {
    const { scrubbing, rot } = await scrubbed('[[2,1]]')
    expect(scrubbing.readErrors).toEqual([expect.stringContaining('entries 512 to 699')])
    expect(rot.reads.find((place) => place.startsWith('entry'))).toBe('entry 512')
    expect(scrubbing.found).toEqual([])
  })
})

test('turns are taken one at a time, and whoever is stopped does not wait', async () => {
  const turns = new ScrubTurns()
  const { signal } = new AbortController()
  let finish!: () => void
  const order: string[] = []
  const first = turns.take(signal, async () => {
    order.push('first begins')
    await new Promise<void>((resolve) => (finish = resolve))
    order.push('first ends')
  })
  const stop = new AbortController()
  const stopped = turns.take(stop.signal, async () => order.push('never'))
  const third = turns.take(signal, async () => order.push('third'))
  stop.abort()
  expect(await stopped).toBeUndefined()
  expect(order).toEqual(['first begins'])
  finish()
  await Promise.all([first, third])
  expect(order).toEqual(['first begins', 'first ends', 'third'])
})
