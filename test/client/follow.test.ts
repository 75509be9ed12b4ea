import { describe, expect, it } from 'vitest'
import { decodeUtf8 } from '../../src/bytes/text.ts'
import type { FollowEvent, FollowOptions, FollowState } from '../../src/client/follow.ts'
import { openLogClient } from '../../src/client/log-client.ts'
import { hasCode } from '../../src/errors.ts'
import { FakeClock, FakeLog, problem, texts, URL_PREFIX, VKEY } from './fake-log.ts'

interface Stage {
  readonly log: FakeLog
  readonly clock: FakeClock
  follow(options?: FollowOptions): AsyncGenerator<FollowEvent, void, undefined>
}

async function stage(size: number): Promise<Stage> {
  const log = await FakeLog.create(size)
  const clock = new FakeClock()
  const options = { url: URL_PREFIX, verifierKey: VKEY, fetch: log.fetch, clock, deadlineMs: 60_000 }
  return { log, clock, follow: (how) => openLogClient(options).follow(how) }
}

/** The next events, in short: heads as their size, entries as their text. */
async function take(events: AsyncGenerator<FollowEvent>, count: number): Promise<(number | string)[]> {
  const list: (number | string)[] = []
  while (list.length < count) {
    const { value, done } = await events.next()
    if (done) break
    list.push(value.kind === 'checkpoint' ? value.checkpoint.size : decodeUtf8(value.entry, 'entry'))
  }
  return list
}

describe('follow', () => {
  it('gives a head and its entries, and waits for more', async () => {
    const { log, clock, follow } = await stage(2)
    const events = follow({ intervalMs: 1_000 })
    expect(await take(events, 3)).toEqual([2, 'entry 0', 'entry 1'])
    const more = take(events, 3)
    await log.add(['a', 'b'])
    expect(await more).toEqual([4, 'a', 'b'])
    expect(clock.naps.every((ms) => ms === 1_000)).toBe(true)
    await events.return()
  })

  it('begins where it is told to, also beyond the end', async () => {
    const { log, follow } = await stage(300)
    expect(await take(follow({ from: 298 }), 3)).toEqual([300, 'entry 298', 'entry 299'])
    const events = follow({ from: 301 })
    expect(await take(events, 1)).toEqual([300])
    const more = take(events, 2)
    await log.add(['skipped', 'wanted'])
    expect(await more).toEqual([302, 'wanted'])
  })

  it('goes on from a state that was kept, at every event of the way', async () => {
    const { log, follow } = await stage(3)
    const events = follow()
    const states: FollowState[] = []
    for (let i = 0; i < 4; i++) states.push((await events.next()).value!.state)
    await log.add(texts(3, 300))
    for (const [i, kept] of states.entries()) {
      const from = JSON.parse(JSON.stringify(kept)) as FollowState
      const rest = ['entry 0', 'entry 1', 'entry 2'].slice(i)
      expect(await take(follow({ from }), rest.length + 2)).toEqual([...rest, 300, 'entry 3'])
    }
  })

  it('holds the log to the state that was kept', async () => {
    const { log, follow } = await stage(300)
    const { state } = (await follow().next()).value!
    const other = await FakeLog.create(400, (text) => text.toUpperCase())
    log.lie = (path) => other.file(path)
    await expect(take(follow({ from: { ...state, nextIndex: 300 } }), 1)).rejects.toMatchObject({
      code: 'fork',
    })
    const shorter = await FakeLog.create(299)
    log.lie = (path) => shorter.file(path)
    await expect(take(follow({ from: { ...state, nextIndex: 300 } }), 1)).rejects.toMatchObject({
      code: 'rolled_back',
    })
    const tampered = { checkpoint: state.checkpoint.replace('\n300\n', '\n200\n'), nextIndex: 0 }
    await expect(take(follow({ from: tampered }), 1)).rejects.toMatchObject({ code: 'bad_signature' })
  })

  it('tells of a fork while it follows', async () => {
    const { log, follow } = await stage(1)
    const events = follow()
    expect(await take(events, 2)).toEqual([1, 'entry 0'])
    const other = await FakeLog.create(2, (text) => text.toUpperCase())
    log.lie = (path) => other.file(path)
    await expect(take(events, 1)).rejects.toMatchObject({ code: 'fork' })
  })

  it('never gives an entry that is not in the tree', async () => {
    const { log, follow } = await stage(3)
    const other = await FakeLog.create(3, (text) => text.toUpperCase())
    log.lie = (path) => (path.startsWith('tile/entries/') ? other.file(path) : undefined)
    const events = follow()
    expect(await take(events, 1)).toEqual([3])
    await expect(events.next()).rejects.toMatchObject({ code: 'bad_proof' })
  })

  it('long polls where the log offers it, and asks no faster than it may when an answer comes at once', async () => {
    const { log, clock, follow } = await stage(1)
    let polls = 0
    log.lie = (path) => {
      if (!path.startsWith('v1/checkpoint')) return undefined
      expect(path).toBe('v1/checkpoint?after=1&timeout=25')
      polls++
      if (polls < 3) return new Response(null, { status: 204 })
      const grown = log.tree.size === 1 ? log.add(['a']) : Promise.resolve()
      return grown.then(
        () => new Response(log.note, { headers: { 'content-type': 'text/plain; charset=utf-8' } }),
      )
    }
    expect(await take(follow({ intervalMs: 700 }), 4)).toEqual([1, 'entry 0', 2, 'a'])
    expect(polls).toBe(3)
    expect(clock.naps).toEqual([700, 700])
  })

  it.each([
    ['404', () => new Response(null, { status: 404 })],
    ['403', () => new Response(null, { status: 403 })],
    ['a page of its own', () => new Response('<html>', { headers: { 'content-type': 'text/html' } })],
  ])('polls the checkpoint where a long poll gives %s', async (_, answer) => {
    const { log, clock, follow } = await stage(1)
    log.api = false
    log.lie = (path) => {
      if (path.startsWith('v1/')) return answer()
      return path === 'checkpoint' && clock.naps.length === 3
        ? log.add(['a']).then(() => undefined)
        : undefined
    }
    expect(await take(follow({ intervalMs: 700 }), 4)).toEqual([1, 'entry 0', 2, 'a'])
    expect(log.asked.filter((path) => path.startsWith('v1/'))).toHaveLength(1)
    expect(clock.naps).toEqual([700, 700, 700])
  })

  it('bridges a short outage, and says so when it lasts', async () => {
    const { log, clock, follow } = await stage(1)
    clock.chance = 0
    const events = follow({ intervalMs: 700 })
    expect(await take(events, 2)).toEqual([1, 'entry 0'])
    let refusals = 2
    log.lie = () =>
      refusals-- > 0 ? problem(503, 'shutting_down', 'restarting', { 'retry-after': '1' }) : undefined
    const more = take(events, 2)
    await log.add(['a'])
    expect(await more).toEqual([2, 'a'])
    log.lie = () => Promise.reject(new TypeError('fetch failed'))
    const error = await take(events, 1).catch((e: unknown) => e)
    expect(hasCode(error, 'unreachable')).toBe(true)
  })

  it('ends without an error when the signal is aborted, whatever it is doing', async () => {
    for (const stuck of ['checkpoint', 'tile/entries/', 'v1/checkpoint']) {
      const { log, follow } = await stage(3)
      const controller = new AbortController()
      log.lie = (path) => {
        if (!path.startsWith(stuck)) return undefined
        setImmediate(() => controller.abort())
        return new Promise(() => {})
      }
      await take(follow({ signal: controller.signal }), 100)
      expect(controller.signal.aborted).toBe(true)
    }
    const { follow } = await stage(3)
    expect(await take(follow({ signal: AbortSignal.abort() }), 1)).toEqual([])
  })
})
