import { describe, expect, it } from 'vitest'
import { decodeUtf8 } from '../../src/bytes/text.ts'
import { formatSuccessorEntry } from '../../src/client/lineage.ts'
import { formatEvidence, parseEvidence } from '../../src/monitor/evidence.ts'
import { verifyEvidence } from '../../src/monitor/evidence-verdict.ts'
import { type FakeLog, ORIGIN, problem, texts, URL_PREFIX, VKEY } from '../client/fake-log.ts'
import { kinds, Killed, stage } from './stage.ts'

const lastEntry = (origin = ORIGIN, url = 'https://log.example/logs/next'): Uint8Array =>
  formatSuccessorEntry({ origin, successor: { origin: 'log.example/next', verifierKeys: [VKEY], url } })

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

describe('a log whose last entry ends it', () => {
  it('is no finding while nothing follows, and one for ever once something does', async () => {
    const { log, start, printed, store } = await ended()
    const monitor = await start()
    expect([await kinds(monitor), await kinds(monitor)]).toEqual([[], []])
    await log.add(['one more'])
    expect(await kinds(monitor)).toEqual(['unfrozen'])
    await log.add(['another'])
    expect(await kinds(await start())).toEqual(['unfrozen'])
    expect(printed).toHaveLength(1)
    const { message, detail } = printed[0]!
    expect(message).toBe(
      'the log ended at size 301 (its last entry says so), and signed size 302 nevertheless',
    )
    expect(detail).toMatchObject({ firstSize: 301, secondSize: 302, by: 'entry' })
    expect(verify([...store.evidence.values()][0]!)).toMatchObject({
      verdict: 'proven',
      kind: 'unfrozen',
      sizes: [301, 302],
    })
  })

  it('is found out by one head, too, where the end was never seen as the end', async () => {
    const { log, start, store } = await ended()
    await log.add(['one more'])
    expect(await kinds(await start())).toEqual(['unfrozen'])
    const evidence = [...store.evidence.values()][0]!
    expect(parseEvidence(evidence).heads).toHaveLength(1)
    expect(verify(evidence)).toMatchObject({ verdict: 'proven', kind: 'unfrozen', sizes: [302] })
  })

  it('is remembered by a monitor that is killed at any moment', async () => {
    for (let killAt = 1; killAt <= 3; killAt++) {
      const { log, start, store } = await ended()
      store.killAt = killAt
      const killed = await (await start()).round().catch((error: unknown) => error)
      if (killed !== undefined && !Array.isArray(killed)) expect(killed).toBeInstanceOf(Killed)
      store.killAt = Infinity
      await log.add(['one more'])
      expect(await kinds(await start())).toEqual(['unfrozen'])
    }
  })

  it('is not ended by an entry about another log, nor by one that only looks alike', async () => {
    const { log, start } = await stage(3)
    const spaced = decodeUtf8(lastEntry(), 'entry').replace('","origin', '", "origin')
    await log.add([lastEntry('log.example/logs/other'), spaced])
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
      'the log had ended with the successor https://a.example, and says now that https://b.example',
      'the log had ended, and says that it is serving now',
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
    expect(judged({}).verdict).toBe('proven')
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
