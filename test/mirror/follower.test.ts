import { describe, expect, test } from 'vitest'
import { HttpFiles } from '../../src/client/http-files.ts'
import { hasCode, type SteleError } from '../../src/errors.ts'
import { decodeCount } from '../../src/mirror/record.ts'
import { Follower } from '../../src/mirror/follower.ts'
import { MirroredLog } from '../../src/mirror/log.ts'
import { generateSigningKey } from '../../src/note/key.ts'
import { openNote } from '../../src/note/note.ts'
import { parseEvidence } from '../../src/monitor/evidence.ts'
import { verifyEvidence } from '../../src/monitor/evidence-verdict.ts'
import { formatWitnessEvidence } from '../../src/witness/evidence-folder.ts'
import { FakeLog, URL_PREFIX } from '../client/fake-log.ts'
import type { MemoryEvidence } from '../witness/fixture.ts'
import { asMirrored, checkpointBody, MIRROR_KEY, mirrorOf, testMirror, type TestMirror } from './fixture.ts'

interface Stage extends TestMirror {
  readonly source: FakeLog
  readonly follower: Follower
  readonly troubles: SteleError[]
  readonly stops: SteleError[]
}

/** Expects a failure with this code. */
async function expectCode(code: string, failing: Promise<unknown>): Promise<void> {
  await expect(failing).rejects.toMatchObject({ code })
}

/** What `stele verify --evidence` says to the one file that was kept. */
function verdictOn({ kept }: MemoryEvidence, { origin, key }: FakeLog): unknown {
  const evidence = formatWitnessEvidence(kept[0]!)
  return verifyEvidence({ evidence, origin, verifierKeys: [key.verifier] })
}

/** A mirror that follows a log of this size. */
async function stage(size: number): Promise<Stage> {
  const source = await FakeLog.create(size)
  const mirror = await testMirror(asMirrored(source), { url: URL_PREFIX })
  return { ...mirror, source, ...following(mirror, source) }
}

function following(
  { mirror, log }: Pick<TestMirror, 'mirror' | 'log'>,
  source: FakeLog,
): Pick<Stage, 'follower' | 'troubles' | 'stops'> {
  const troubles: SteleError[] = []
  const stops: SteleError[] = []
  let nowMs = 0
  const follower = new Follower({
    log,
    mirror,
    files: new HttpFiles(URL_PREFIX, { fetch: (url, init) => source.fetch(url, init) }, { deadlineMs: 0 }),
    clock: { nowMs: () => nowMs, random: () => 0, sleep: async (ms) => void (nowMs += ms) },
    intervalMs: 1000,
    onRepaired: () => {},
    onTrouble: (error) => troubles.push(error),
    onStopped: (error) => stops.push(error),
  })
  return { follower, troubles, stops }
}

test('a log is copied, cosigned once all of it is here, and followed as it grows', async () => {
  const { source, follower, log, parts } = await stage(0)
  await follower.round()
  expect(log.published.size).toBe(0)
  for (const more of [1, 255, 1, 1000, 5000]) {
    await source.add(Array.from({ length: more }, (_, i) => `${source.tree.size + i}`))
    await follower.round()
    const { size, checkpoint } = log.published
    expect([size, log.nextEntry]).toEqual([source.tree.size, source.tree.size])
    const { verifiedBy } = openNote(checkpoint, [source.key.verifier, MIRROR_KEY.verifier])
    expect(verifiedBy).toHaveLength(2)
    // The second place, by which a database that went back is found out.
    expect(decodeCount(parts.headFile.records[0]!, 'head file')).toBe(log.state.cosigned)
  }
  expect(await log.readEntries(1234, 1236)).toEqual(source.entries.slice(1234, 1236))
})

test('a log that is only files, without its partial ones, is copied too', async () => {
  const { source, follower, log } = await stage(700)
  source.api = false
  await follower.round()
  await source.add(Array.from({ length: 700 }, (_, i) => `more ${i}`))
  source.partials = false
  await follower.round()
  expect(log.published.size).toBe(1400)
})

test('what was copied before a failure is kept, and nothing is cosigned until the rest is here', async () => {
  const { source, follower, log } = await stage(3000)
  source.lie = (path) => (path === 'tile/entries/010' ? new Response('', { status: 404 }) : undefined)
  await expectCode('not_found', follower.round())
  expect([log.nextEntry, log.state.mirrored, log.pending?.checkpoint.size]).toEqual([2560, undefined, 3000])
  source.lie = () => undefined
  source.asked = []
  await follower.round()
  expect([log.nextEntry, log.published.size]).toEqual([3000, 3000])
  expect(source.asked).not.toContain('tile/entries/009')
})

describe('what is not believed', () => {
  test.each([
    { what: 'garbage for a checkpoint', path: 'checkpoint', lie: 'garbage', code: 'malformed' },
    { what: 'an empty checkpoint', path: 'checkpoint', lie: '', code: 'malformed' },
    { what: 'a tile of other hashes', path: 'tile/1/000.p/2', lie: new Uint8Array(64), code: 'bad_proof' },
    { what: 'a tile of another length', path: 'tile/1/000.p/2', lie: 'short', code: 'unexpected_answer' },
    { what: 'a bundle that is none', path: 'tile/entries/001', lie: '\u0001\u0002', code: 'malformed' },
    {
      what: 'entries that are others',
      path: 'tile/entries/002.p/188',
      lie: new Uint8Array(376),
      code: 'bad_proof',
    },
  ] as const)('$what', async ({ path, lie, code }) => {
    const { source, follower, log, evidence } = await stage(700)
    source.lie = (asked) => (asked === path ? lie : undefined)
    await expectCode(code, follower.round())
    expect([log.state.mirrored, log.failure, evidence.kept]).toEqual([undefined, undefined, []])
    source.lie = () => undefined
    await follower.round()
    expect(log.published.size).toBe(700)
  })

  test('the checkpoint of another log, or by another key', async () => {
    const { source, follower, log } = await stage(7)
    source.note = await source.sign({ origin: 'log.example/other' })
    await expectCode('wrong_origin', follower.round())
    const { key } = source
    source.key = generateSigningKey(source.origin, new Uint8Array(32).fill(3))
    source.note = await source.sign()
    await expectCode('untrusted_signer', follower.round())
    source.key = key
    expect(log.pending).toBeUndefined()
  })

  test('a size that the log has no tiles of: nothing moves', async () => {
    const { source, follower, log } = await stage(300)
    await follower.round()
    source.note = await source.sign({ size: 2 ** 53 - 1 })
    await expectCode('not_found', follower.round())
    expect([log.pending?.checkpoint.size, log.published.size, log.failure]).toEqual([300, 300, undefined])
  })
})

describe('a log that contradicts itself', () => {
  test('another root hash at one size stops it at once; evidence is kept, and the copy is served on', async () => {
    const { source, follower, log, evidence, stops, mirror } = await stage(300)
    await follower.round()
    const served = log.published.checkpoint
    const held = source.note
    const other = await FakeLog.create(300, (text) => `${text}!`)
    source.lie = (path) => other.file(path)
    await follower.run(new AbortController().signal)
    expect(stops.map(({ code }) => code)).toEqual(['fork'])
    expect(evidence.kept).toMatchObject([{ kind: 'fork', held, suspect: other.note }])
    expect(log.published.checkpoint).toBe(served)
    expect(await log.readEntries(0, 1)).toEqual(source.entries.slice(0, 1))
    // Nothing more is taken of it, from anybody.
    await source.add(['more'])
    await expectCode('log_halted', mirror.addCheckpoint(await checkpointBody(source, 300, 301)))
  })

  // No consistency proof from 256 holds the root hash at 256: it takes the tiles.
  test.each([300, 256])(
    'a larger tree that is another history than that of %i stops it, and no entry of that is stored',
    async (size) => {
      const { source, follower, log, evidence } = await stage(size)
      await follower.round()
      const other = await FakeLog.create(900, (text) => `${text}!`)
      source.lie = (path) => other.file(path)
      await expectCode('bad_proof', follower.round())
      expect(evidence.kept).toMatchObject([{ kind: 'fork', held: source.note, suspect: other.note }])
      expect(verdictOn(evidence, source)).toMatchObject({
        verdict: 'proven',
        kind: 'fork',
        sizes: [size, 900],
      })
      expect([log.nextEntry, log.pending?.checkpoint.size, log.failure?.code]).toEqual([
        size,
        size,
        'bad_proof',
      ])
    },
  )

  test('a smaller tree is taken for a stale cache twice, and stops it the third time', async () => {
    const { source, follower, log, evidence } = await stage(300)
    const old = source.note
    await source.add(['one more'])
    const newest = source.note
    await follower.round()
    source.note = old
    await expectCode('rolled_back', follower.round())
    await expectCode('rolled_back', follower.round())
    source.note = newest
    await follower.round()
    source.note = old
    await expectCode('rolled_back', follower.round())
    await expectCode('rolled_back', follower.round())
    expect([log.failure, evidence.kept]).toEqual([undefined, []])
    await expectCode('rolled_back', follower.round())
    expect(evidence.kept).toMatchObject([{ kind: 'went_back', held: newest, suspect: old }])
    // Both are signed; that the smaller one came later is this mirror's word, for these signatures carry no time.
    expect(verdictOn(evidence, source)).toMatchObject({
      verdict: 'needs_log',
      kind: 'rollback',
      sizes: [301, 300],
    })
    const file = parseEvidence(formatWitnessEvidence(evidence.kept[0]!))
    expect(file.heads).toMatchObject([
      { source: 'checkpoint', url: URL_PREFIX },
      { source: 'checkpoint', url: URL_PREFIX },
    ])
    expect([log.failure?.code, log.published.size]).toEqual(['rolled_back', 301])
  })

  test('what went back is found after a restart too', async () => {
    const { source, follower, parts } = await stage(300)
    const old = source.note
    await source.add(['one more'])
    await follower.round()
    source.note = old
    const restarted = await mirrorOf(parts)
    await expectCode('rolled_back', following(restarted, source).follower.round())
    expect(restarted.log.published.size).toBe(301)
  })
})

describe('a checkpoint that was submitted before the log published it', () => {
  test('is no reason to stop: the smaller one is copied, and the larger one when it comes', async () => {
    const { source, follower, log, mirror } = await stage(300)
    const published = source.note
    await source.add(['one more'])
    expect((await mirror.addCheckpoint(await checkpointBody(source, 0, 301))).kind).toBe('cosign')
    const newest = source.note
    source.note = published
    // Nothing is here yet that it could be compared with.
    await follower.round()
    expect([log.nextEntry, log.failure]).toEqual([0, undefined])
    source.note = newest
    await follower.round()
    expect(log.published.size).toBe(301)
  })

  test('the smaller one is another history: that is found as soon as it can be', async () => {
    const { source, follower, log, mirror, evidence } = await stage(300)
    await follower.round()
    const published = source.note
    await source.add(Array.from({ length: 10 }, (_, i) => `${i}`))
    await mirror.addCheckpoint(await checkpointBody(source, 300, 310))
    const other = await FakeLog.create(300, (text) => `${text}!`)
    source.note = other.note
    await expectCode('fork', follower.round())
    expect(evidence.kept).toMatchObject([{ kind: 'fork', held: published, suspect: other.note }])
    expect(verdictOn(evidence, source)).toMatchObject({ verdict: 'proven', kind: 'fork', sizes: [300, 300] })
    expect(log.failure?.code).toBe('fork')
  })

  test('a smaller one of another history, of a size that was never signed here, is shown by a proof', async () => {
    const { source, follower, log, evidence, mirror } = await stage(300)
    await follower.round()
    await source.add(Array.from({ length: 10 }, (_, i) => `${i}`))
    const submitted = source.note
    await mirror.addCheckpoint(await checkpointBody(source, 300, 310))
    await log.append(300, source.entries.slice(300, 310))
    const other = await FakeLog.create(305, (text) => `${text}!`)
    source.note = other.note
    await expectCode('fork', follower.round())
    expect(evidence.kept).toMatchObject([{ kind: 'fork', held: submitted, suspect: other.note }])
    expect(verdictOn(evidence, source)).toMatchObject({ verdict: 'proven', kind: 'fork', sizes: [310, 305] })
  })
})

test('trouble makes the pauses longer and is told each time, and following goes on', async () => {
  const { source, follower, troubles, stops, log } = await stage(300)
  const stop = new AbortController()
  let failures = 0
  source.lie = () => {
    if (++failures <= 5) throw new TypeError('fetch failed')
    if (log.state.mirrored) stop.abort()
    return undefined
  }
  await follower.run(stop.signal)
  expect([troubles.length, stops.length, log.published.size]).toEqual([5, 0, 300])
  expect(troubles.every((error) => hasCode(error, 'unreachable'))).toBe(true)
})

test('a copy in which one byte rotted is not opened, nor one that is older than what was signed', async () => {
  const { follower, parts, source } = await stage(300)
  await follower.round()
  const entries = [...source.entries]
  entries[299] = Uint8Array.of(1)
  const rotten = new Proxy(parts.store, {
    get(store, name) {
      if (name === 'readEntries') return async (begin: number, end: number) => entries.slice(begin, end)
      const value: unknown = Reflect.get(store, name, store)
      return typeof value === 'function' ? (value.bind(store) as unknown) : value
    },
  })
  await expectCode('corrupt', mirrorOf({ ...parts, store: rotten }))
  const ahead = new Uint8Array(8)
  ahead[7] = 2
  await parts.headFile.write(ahead)
  await expectCode('rolled_back', mirrorOf(parts))
})

test('a write that fails stops that log, and what readers see is what is on disk', async () => {
  const { source, follower, parts, mirror, log } = await stage(300)
  await follower.round()
  await source.add(['one more'])
  const { store } = parts
  store.commit = () => Promise.reject(new Error('no space left on device'))
  await expectCode('outcome_unknown', follower.round())
  expect([log.published.size, log.pending?.checkpoint.size]).toEqual([300, 300])
  await expectCode('log_halted', mirror.addCheckpoint(await checkpointBody(source, 300, 301)))
  expect(log).toBeInstanceOf(MirroredLog)
})
