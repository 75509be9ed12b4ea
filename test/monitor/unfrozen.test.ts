import { describe, expect, it } from 'vitest'
import { decodeUtf8 } from '../../src/bytes/text.ts'
import { formatSuccessorEntry } from '../../src/client/lineage.ts'
import { formatEvidence, parseEvidence } from '../../src/monitor/evidence.ts'
import { verifyEvidence, type EvidenceJudged } from '../../src/monitor/evidence-verdict.ts'
import { leafHash } from '../../src/merkle/hash.ts'
import { FakeLog, ORIGIN, problem, texts, URL_PREFIX, VKEY } from '../client/fake-log.ts'
import { kinds, Killed, stage, stageOf } from './stage.ts'

const lastEntry = (origin = ORIGIN, url = 'https://log.example/logs/next'): Uint8Array =>
  formatSuccessorEntry({ origin, successor: { origin: 'log.example/next', verifierKeys: [VKEY], url } })

const FROZEN = { state: 'frozen', treeSize: 301, successor: 'https://log.example/logs/next' }

const verify = (evidence: string) => verifyEvidence({ evidence, origin: ORIGIN, verifierKeys: [VKEY] })

/** A log of 300 entries and its last one. */
async function ended(): Promise<Awaited<ReturnType<typeof stage>>> {
  const made = await stage(300)
  await made.log.add([lastEntry()])
  return made
}

/** Answers what a server says of a log. */
function says(log: FakeLog, word: () => object | undefined): void {
  log.lie = (path) => {
    if (path !== URL_PREFIX.replace('logs/fake/', 'v1/logs/fake')) return undefined
    const said = word()
    return said ? Response.json({ origin: ORIGIN, ...said }) : problem(404, 'not_found', 'no such route')
  }
}

describe('an entry that names a successor', () => {
  it('accuses nobody on its own: a log of another program takes it from any submitter', async () => {
    const log = await FakeLog.create(0)
    await log.add([lastEntry(), 'somebody else goes on'])
    const { start, printed, store } = await stageOf(log)
    const monitor = await start()
    expect([await kinds(monitor), await kinds(monitor)]).toEqual([['match'], []])
    await log.add(['and on'])
    expect(await kinds(await start())).toEqual([])
    expect(store.evidence.size).toBe(0)
    expect(printed[0]).toMatchObject({
      kind: 'match',
      message: expect.stringContaining('any submitter may have written it'),
      detail: { matcher: 'stele-log-successor/v1', index: 0 },
    })
  })

  it('accuses nobody where it was the last one for a while, and the log said nothing of an end', async () => {
    const { log, start } = await ended()
    const monitor = await start()
    expect([await kinds(monitor), await kinds(monitor)]).toEqual([[], []])
    await log.add(['one more'])
    expect([await kinds(monitor), await kinds(monitor)]).toEqual([['match'], []])
  })

  it('makes no file that proves anything', async () => {
    const log = await FakeLog.create(0)
    await log.add([lastEntry(), 'somebody else goes on'])
    const head = { note: log.note, source: 'checkpoint', url: '', seenAt: '2026-01-01T00:00:00Z' } as const
    const evidence = formatEvidence({
      kind: 'unfrozen',
      origin: ORIGIN,
      keys: [VKEY],
      heads: [head],
      proof: undefined,
      ending: { index: 0, entry: log.entries[0]!, path: [leafHash(log.entries[1]!)] },
      message: 'it went on',
    })
    const judged = verify(evidence)
    expect(judged).toMatchObject({ verdict: 'needs_log', kind: 'unfrozen', sizes: [2] })
    expect((judged as EvidenceJudged).notProven[0]).toContain('that the log itself wrote entry 0')
  })

  it('ends an accusation that an earlier version made of it', async () => {
    const { log, start, store } = await ended()
    const monitor = await start()
    await monitor.round()
    const { open: _, ...state } = JSON.parse(store.states.get(ORIGIN)!) as Record<string, unknown>
    const open = { 'unfrozen size': { id: 'a'.repeat(32), subject: 'behind 301', sinceMs: 1 } }
    expect(state['end']).toMatchObject({ by: 'entry' })
    store.states.set(ORIGIN, JSON.stringify({ ...state, open }))
    await log.add(['one more'])
    const later = await start()
    expect(await kinds(later)).toEqual(['match'])
    expect(later.status.open).toEqual([])
  })
})

describe('a log whose last entry ends it, and that says so when it is asked', () => {
  const frozen = (log: FakeLog): void => says(log, () => FROZEN)

  it('is no finding while nothing follows, and one for ever once something does', async () => {
    const { log, start, printed, store } = await ended()
    frozen(log)
    const monitor = await start()
    expect([await kinds(monitor), await kinds(monitor)]).toEqual([[], []])
    await log.add(['one more'])
    expect(await kinds(monitor)).toEqual(['unfrozen'])
    await log.add(['another'])
    expect(await kinds(await start())).toEqual(['unfrozen'])
    expect(printed).toHaveLength(1)
    const { message, detail } = printed[0]!
    expect(message).toBe(
      'the log ended at size 301 (as its last entry says and the log reported), but signed size 302 later',
    )
    expect(detail).toMatchObject({ firstSize: 301, secondSize: 302, by: 'log' })
    // Neither has been signed: the entry is of whoever submitted it.
    expect(verify([...store.evidence.values()][0]!)).toMatchObject({
      verdict: 'needs_log',
      kind: 'unfrozen',
      sizes: [301, 302],
    })
  })

  it('is believed in one round, and remembered by a monitor that is killed behind it', async () => {
    for (let killAt = 1; killAt <= 4; killAt++) {
      const { log, start, store } = await ended()
      frozen(log)
      store.killAt = killAt
      const killed = await (await start()).round().catch((error: unknown) => error)
      if (killed !== undefined && !Array.isArray(killed)) expect(killed).toBeInstanceOf(Killed)
      store.killAt = Infinity
      if (!Array.isArray(killed)) expect(await kinds(await start())).toEqual([])
      await log.add(['one more'])
      expect(await kinds(await start())).toEqual(['unfrozen'])
    }
  })

  it('is not ended by an entry about another log, nor by one that only looks alike', async () => {
    const { log, start } = await stage(3)
    const spaced = decodeUtf8(lastEntry(), 'entry').replace('","origin', '", "origin')
    await log.add([lastEntry('log.example/logs/other'), spaced])
    says(log, () => ({ state: 'frozen', treeSize: 5 }))
    const monitor = await start()
    await monitor.round()
    await log.add(['one more'])
    expect(await kinds(monitor)).toEqual([])
  })
})

describe('a log that says that it has ended', () => {
  it('is held to the size of a head that it signed after it had said so', async () => {
    const { log, clock, start, printed, store } = await stage(300)
    let timestampMs = clock.nowMs()
    says(log, () => ({ state: 'frozen', treeSize: log.tree.size, timestampMs }))
    const monitor = await start()
    // Frozen, but its final head may still wait for witnesses: what comes now is no alarm.
    for (let rounds = 0; rounds < 2; rounds++) expect(await kinds(monitor)).toEqual([])
    await log.add(['published late'])
    for (let rounds = 0; rounds < 2; rounds++) expect(await kinds(monitor)).toEqual([])
    timestampMs += 300_000
    expect(await kinds(monitor)).toEqual([])
    await log.add(['one more'])
    expect(await kinds(await start())).toEqual(['unfrozen'])
    expect(printed[0]!.detail).toMatchObject({ firstSize: 301, secondSize: 302, by: 'log' })
    // Nobody signed that it had ended.
    const judged = verify([...store.evidence.values()][0]!)
    expect(judged).toMatchObject({ verdict: 'needs_log', kind: 'unfrozen', sizes: [301, 302] })
  })

  it('may be given a successor, and not another one, and does not come back', async () => {
    const { log, clock, start, printed } = await stage(300)
    let word: object = { state: 'frozen', treeSize: 300, timestampMs: clock.nowMs() }
    says(log, () => word)
    const monitor = await start()
    await kinds(monitor)
    await kinds(monitor)
    word = { ...word, timestampMs: clock.nowMs() + 300_000 }
    await kinds(monitor)
    word = { ...word, successor: 'https://a.example' }
    expect(await kinds(monitor)).toEqual([])
    word = { ...word, successor: 'https://b.example' }
    expect(await kinds(monitor)).toEqual(['unfrozen'])
    word = { state: 'serving', treeSize: 300 }
    expect(await kinds(monitor)).toEqual(['unfrozen'])
    expect(printed.map(({ message }) => message)).toEqual([
      'the log had ended with the successor https://a.example, but now reports https://b.example',
      'the log had ended, but now reports the state serving',
    ])
    word = { state: 'halted' }
    expect(await kinds(monitor)).toEqual([])
  })

  it('says nothing where it is only files', async () => {
    const { log, start } = await stage(300)
    says(log, () => undefined)
    const monitor = await start()
    for (let rounds = 0; rounds < 4; rounds++) expect(await kinds(monitor)).toEqual([])
    expect(log.asked.filter((path) => path.includes('v1/logs'))).toHaveLength(1)
  })
})

it('a log that the operator of the monitor knows to have ended is held to what it was then', async () => {
  const { log, start, printed, store } = await stage(300)
  await (await start({ frozen: true })).round()
  await log.add(texts(300, 301))
  expect(await kinds(await start({ frozen: true }))).toEqual(['unfrozen'])
  expect(printed[0]!.detail).toMatchObject({ by: 'operator' })
  expect(verify([...store.evidence.values()][0]!)).toMatchObject({ verdict: 'needs_log' })
})

describe('evidence that a log went on behind its end', () => {
  async function kept(): Promise<ReturnType<typeof parseEvidence>> {
    const { log, start, store } = await ended()
    says(log, () => FROZEN)
    const monitor = await start()
    await monitor.round()
    await log.add(['one more'])
    await monitor.round()
    return parseEvidence([...store.evidence.values()][0]!)
  }

  it('is refused where it does not hold', async () => {
    const good = await kept()
    const { ending, heads } = good
    const judged = (change: object) => verify(formatEvidence({ ...good, ...change }))
    expect(judged({}).verdict).toBe('needs_log')
    expect(judged({ heads: [heads[0], heads[0]] }).verdict).toBe('no_contradiction')
    expect(judged({ heads: [heads[0]] }).verdict).toBe('no_contradiction')
    expect(judged({ ending: { ...ending!, entry: lastEntry('log.example/other') } }).verdict).toBe(
      'no_contradiction',
    )
    expect(judged({ ending: { ...ending!, entry: lastEntry(ORIGIN, 'https://x.example') } }).verdict).toBe(
      'bad_proof',
    )
    expect(judged({ ending: { ...ending!, index: 299 } }).verdict).toBe('bad_proof')
    expect(judged({ ending: { ...ending!, index: 2 ** 40 } }).verdict).toBe('malformed')
    expect(judged({ ending: undefined }).verdict).toBe('needs_log')
    expect(judged({ ending: undefined, heads: [heads[1]!, heads[0]] }).verdict).toBe('no_contradiction')
    expect(judged({ origin: 'log.example/other' }).verdict).toBe('wrong_log')
  })
})
