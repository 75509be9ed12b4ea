import { describe, expect, it } from 'vitest'
import { createMatcher } from '../../src/monitor/matcher.ts'
import { generateCosignerKey } from '../../src/note/cosigner.ts'
import { KEY_TYPE } from '../../src/note/key-id.ts'
import { formatVerifierKey, generateSigningKey } from '../../src/note/key.ts'
import { formatSignatures } from '../../src/note/note.ts'
import { parsePolicy } from '../../src/policy/parse.ts'
import { FakeLog, flipped, ORIGIN, problem, texts } from '../client/fake-log.ts'
import { getSth, HOUR_MS, kinds, Killed, pretending, stage, TREE_HEAD_SIGNER } from './stage.ts'

const upper = (text: string): string => text.toUpperCase()
const second = [createMatcher({ name: 'seventeens', regex: '17$' })]

describe('a log that behaves', () => {
  it('gives no finding, and every entry is read once', async () => {
    const { log, start, printed, store } = await stage(600)
    const monitor = await start()
    expect(await kinds(monitor)).toEqual([])
    await log.add(texts(600, 900))
    expect(await kinds(monitor)).toEqual([])
    expect(monitor.status).toMatchObject({ treeSize: 900, nextIndex: 900, open: [] })
    expect(printed).toEqual([])
    expect(store.states.size).toBe(1)
  })

  it('gives a match for each entry that is looked for, also after it is found twice', async () => {
    const { log, start, printed } = await stage(300)
    const monitor = await start({ matchers: second })
    expect(await kinds(monitor)).toEqual(['match', 'match', 'match'])
    expect(await kinds(monitor)).toEqual([])
    await log.add(['entry 917', 'other'])
    expect(await kinds(monitor)).toEqual(['match'])
    expect(printed.map(({ detail }) => detail['index'])).toEqual([17, 117, 217, 300])
    expect(printed[0]).toMatchObject({
      kind: 'match',
      log: ORIGIN,
      message: 'entry 17 matches seventeens',
      detail: { decided: true, entry: Buffer.from('entry 17').toString('base64') },
    })
  })

  it('goes on when entries make an expression slow, and names in one finding those it did not look at', async () => {
    const { log, start, printed } = await stage(300)
    const { runner, runs } = pretending()
    const careless = createMatcher({ name: 'careless', regex: 'x' }, { runner, limitMs: 100 })
    const careful = createMatcher({ contains: 'entry 499' })
    const monitor = await start({ matchers: [careless, careful] })
    await monitor.round()
    printed.length = 0
    await log.add([...Array.from({ length: 200 }, (_, i) => `slow 5000 ${i}`), ...texts(500, 5_000)])
    const found = await kinds(monitor)
    // Its share of a round is half a second.
    expect(found.filter((kind) => kind === 'match')).toHaveLength(5 + 10)
    expect(printed.filter(({ kind }) => kind === 'match_timeout')).toMatchObject([
      { detail: { matcher: 'careless', firstIndex: 305, lastIndex: 4351, entries: 4047 } },
      { detail: { matcher: 'careless', firstIndex: 4352, lastIndex: 4999, entries: 648 } },
    ])
    expect(printed[0]).toMatchObject({ kind: 'match', detail: { decided: false, index: 300 } })
    expect(runs.length).toBeLessThan(10)
    expect(monitor.status).toMatchObject({ nextIndex: 5_000, open: [] })
    // The next round has time of its own.
    await log.add(['found!'])
    expect(await kinds(monitor)).toEqual(['match'])
  })

  it('can begin at the end', async () => {
    const { log, start, printed } = await stage(300)
    const monitor = await start({ matchers: second, from: 'end' })
    await monitor.round()
    await log.add(['entry 317'])
    await monitor.round()
    expect(printed.map(({ detail }) => detail['index'])).toEqual([300])
  })
})

describe('a monitor that is killed', () => {
  it('skips nothing, wherever it happens, and what it repeats has the same id', async () => {
    for (let killAt = 1; killAt <= 6; killAt++) {
      const { log, start, printed, store } = await stage(5_000)
      store.killAt = killAt
      const killed = await start({ matchers: second })
      await killed.round().catch((error: unknown) => expect(error).toBeInstanceOf(Killed))
      store.killAt = Infinity
      await log.add(texts(5_000, 5_100))
      await (await start({ matchers: second })).round()
      const ids = new Map(printed.map(({ id, detail }) => [id, detail['index']]))
      expect([...ids.values()]).toEqual(Array.from({ length: 51 }, (_, i) => i * 100 + 17))
    }
  })

  it('still knows the head that the log must extend', async () => {
    const { log, start, store } = await stage(300)
    await (await start()).round()
    const other = await FakeLog.create(400, upper)
    log.lie = (path) => other.file(path)
    expect(await kinds(await start())).toEqual(['fork'])
    expect(store.evidence.size).toBe(1)
  })

  it('does not begin anew from a state that cannot be read, or that is of other keys', async () => {
    const { start, store } = await stage(10)
    await (await start()).round()
    const [origin, text] = [...store.states][0]!
    store.states.set(origin, text.slice(0, 100))
    await expect(start()).rejects.toMatchObject({ code: 'malformed' })
    store.states.set(origin, text)
    const other = generateSigningKey(ORIGIN, new Uint8Array(32).fill(7)).verifier
    await expect(start({ verifierKeys: [other] })).rejects.toMatchObject({ code: 'untrusted_signer' })
  })
})

describe('a full disk', () => {
  it('stops the monitor: it says so, does not move on, and goes on where it was', async () => {
    const { log, start, store, printed } = await stage(300)
    const monitor = await start({ matchers: second })
    await monitor.round()
    store.full = true
    await log.add(['entry 417'])
    for (let i = 0; i < 2; i++) await expect(monitor.round()).rejects.toMatchObject({ code: 'io_error' })
    expect(monitor.status).toMatchObject({ treeSize: 300, nextIndex: 300 })
    store.full = false
    await monitor.round()
    expect(monitor.status).toMatchObject({ treeSize: 301, nextIndex: 301 })
    expect(printed.map(({ detail }) => detail['index'])).toEqual([17, 117, 217, 300])
  })

  it('does not keep a fork from being raised: the finding then carries both heads', async () => {
    const { log, start, store, printed } = await stage(300)
    const monitor = await start()
    await monitor.round()
    const other = await FakeLog.create(400, upper)
    log.lie = (path) => other.file(path)
    store.full = true
    await expect(monitor.round()).rejects.toMatchObject({ code: 'io_error' })
    expect(printed).toMatchObject([{ kind: 'fork', detail: { firstHead: log.note, secondHead: other.note } }])
  })
})

describe('a log that forks', () => {
  it('is found at the same size, at a larger one and at a smaller one', async () => {
    for (const size of [300, 500, 200]) {
      const { log, start, store } = await stage(300)
      const monitor = await start()
      await monitor.round()
      const other = await FakeLog.create(size, upper)
      log.lie = (path) => (path === 'checkpoint' || size > 300 ? other.file(path) : undefined)
      expect(await kinds(monitor)).toEqual(['fork'])
      expect(store.evidence.size).toBe(1)
      expect(monitor.status.treeSize).toBe(300)
    }
  })

  it('is one finding however often it is seen, and while the branch grows', async () => {
    const { log, start, printed, store } = await stage(300)
    const monitor = await start()
    await monitor.round()
    const other = await FakeLog.create(400, upper)
    log.lie = (path) => other.file(path)
    expect(await kinds(monitor)).toEqual(['fork'])
    await other.add(['more'])
    expect(await kinds(monitor)).toEqual(['fork'])
    expect(await kinds(await start())).toEqual(['fork'])
    expect([printed.length, store.evidence.size]).toEqual([1, 1])
  })

  it('and withholds the tiles is not believed, and the two heads are kept', async () => {
    const { log, start, printed, store } = await stage(300)
    const monitor = await start()
    await monitor.round()
    const other = await FakeLog.create(400, upper)
    log.lie = (path) => (path === 'checkpoint' ? other.note : undefined)
    expect(await kinds(monitor)).toEqual(['bad_tile'])
    expect(monitor.status.treeSize).toBe(300)
    expect(store.evidence.get(printed[0]!.id)).toContain('"kind": "unproven"')
  })
})

describe('a log that goes back', () => {
  it('is found, and the larger head stays the one to extend', async () => {
    const { log, start, printed } = await stage(600)
    const monitor = await start()
    await monitor.round()
    const yesterday = await FakeLog.create(300)
    log.lie = (path) => yesterday.file(path) ?? problem(404, 'not_found', path)
    expect(await kinds(monitor)).toEqual(['rollback'])
    await yesterday.add(texts(300, 310))
    expect(await kinds(monitor)).toEqual(['rollback'])
    expect(printed).toMatchObject([
      { kind: 'rollback', detail: { firstSize: 600, secondSize: 300, stillServed: false } },
    ])
    expect(monitor.status).toMatchObject({ treeSize: 600, open: ['rollback checkpoint'] })
    log.lie = () => undefined
    expect(await kinds(monitor)).toEqual([])
    expect(monitor.status.open).toEqual([])
  })

  it('says when only an old copy of the checkpoint is shown', async () => {
    const { log, start, printed } = await stage(300)
    const old = log.note
    await log.add(texts(300, 600))
    const monitor = await start()
    await monitor.round()
    log.lie = (path) => (path === 'checkpoint' ? old : undefined)
    await monitor.round()
    expect(printed).toMatchObject([{ kind: 'rollback', detail: { stillServed: true } }])
  })

  it('and comes back to the same size with other entries is a fork', async () => {
    const { log, start } = await stage(600)
    const monitor = await start()
    await monitor.round()
    const other = await FakeLog.create(300)
    log.lie = (path) => other.file(path) ?? problem(404, 'not_found', path)
    expect(await kinds(monitor)).toEqual(['rollback'])
    await other.add(texts(300, 700, upper))
    expect(await kinds(monitor)).toEqual(['fork'])
  })
})

describe('what is served in the place of a checkpoint', () => {
  it('is a bad signature, with the reason: garbage, another log, another key', async () => {
    const stranger = await FakeLog.create(5)
    stranger.origin = 'log.example/logs/other'
    stranger.key = generateSigningKey(stranger.origin, new Uint8Array(32).fill(9))
    const honest = await FakeLog.create(5)
    const impostor = await FakeLog.create(5)
    impostor.key = generateSigningKey(ORIGIN, new Uint8Array(32).fill(9))
    const cases: [string, string | Uint8Array][] = [
      ['malformed', '<html>Sorry</html>'],
      ['malformed', Uint8Array.of(0xff, 0xfe)],
      ['wrong_origin', await stranger.sign()],
      ['untrusted_signer', await impostor.sign()],
      ['bad_signature', (await honest.sign()).replace('\n5\n', '\n6\n')],
    ]
    for (const [reason, answer] of cases) {
      const { log, start, printed } = await stage(5)
      const monitor = await start()
      await monitor.round()
      log.lie = (path) => (path === 'checkpoint' ? answer : undefined)
      expect(await kinds(monitor)).toEqual(['bad_signature'])
      expect(printed).toMatchObject([{ detail: { reason } }])
      log.lie = () => undefined
      expect(await kinds(monitor)).toEqual([])
      log.lie = (path) => (path === 'checkpoint' ? answer : undefined)
      await monitor.round()
      // The same again, after it had come to an end, is another finding.
      expect(new Set(printed.map(({ id }) => id)).size).toBe(2)
    }
  })

  it('cannot be a head whose tiles are not there yet', async () => {
    const { log, start, printed } = await stage(300)
    const monitor = await start()
    await monitor.round()
    const future = await FakeLog.create(1_000)
    log.lie = (path) => (path === 'checkpoint' ? future.note : undefined)
    expect(await kinds(monitor)).toEqual(['bad_tile'])
    expect(printed[0]!.message).toContain('does not serve')
    log.lie = (path) => future.file(path)
    expect(await kinds(monitor)).toEqual([])
    expect(monitor.status).toMatchObject({ treeSize: 1_000, nextIndex: 1_000 })
  })
})

describe('entries and tiles', () => {
  it('that are wrong are named, and nothing behind them is taken as read', async () => {
    for (const [path, kind] of [
      ['tile/entries/001', 'bad_entry'],
      ['tile/0/001', 'bad_tile'],
    ] as const) {
      const { log, start, printed } = await stage(600)
      log.lie = (asked) => (asked === path ? flipped(log.file(path)!, 100) : undefined)
      const monitor = await start()
      expect(await kinds(monitor)).toEqual([kind])
      expect(monitor.status.nextIndex).toBe(256)
      expect(await kinds(monitor)).toContain(kind)
      expect(printed).toHaveLength(1)
      log.lie = () => undefined
      expect(await kinds(monitor)).toEqual([])
      expect(monitor.status.nextIndex).toBe(600)
    }
  })

  it('that change after they were read are found when their turn comes', async () => {
    const { log, start, printed } = await stage(600)
    const monitor = await start()
    await monitor.round()
    log.lie = (asked) => (asked === 'tile/0/001' ? flipped(log.file(asked)!, 100) : undefined)
    const found = [...(await kinds(monitor)), ...(await kinds(monitor)), ...(await kinds(monitor))]
    expect(found).toContain('bad_tile')
    expect(printed[0]!.message).toContain('tile/0/001')
  })
})

describe('a log that vanishes', () => {
  it('is unreachable once, and a day later nothing was missed', async () => {
    const { log, clock, start, printed } = await stage(300)
    const monitor = await start({ matchers: second, unreachableAfterMs: 60_000 })
    await monitor.round()
    printed.length = 0
    log.lie = () => problem(502, 'x', 'gone')
    expect(await kinds(monitor)).toEqual([])
    for (let minutes = 0; minutes < 24 * 60; minutes += 30) {
      clock.ms += 30 * 60_000
      expect(await kinds(monitor)).toEqual(['unreachable'])
    }
    expect(printed).toHaveLength(1)
    await log.add(texts(300, 620))
    log.lie = () => undefined
    expect(await kinds(monitor)).toEqual(['match', 'match', 'match', 'match'])
    expect(monitor.status).toMatchObject({ nextIndex: 620, open: [] })
  })

  it('for the monitor is also one that does not answer in time', async () => {
    const { log, start } = await stage(3)
    const monitor = await start()
    log.lie = () => new Promise(() => {})
    expect(await kinds(monitor)).toEqual(['unreachable'])
  })
})

describe('freshness', () => {
  it('without dates: silent when nothing new came for too long', async () => {
    const { log, clock, start } = await stage(3)
    const monitor = await start()
    await monitor.round()
    clock.ms += 23 * HOUR_MS
    expect(await kinds(monitor)).toEqual([])
    clock.ms += 2 * HOUR_MS
    expect(await kinds(monitor)).toEqual(['silent'])
    await log.add(['news'])
    expect(await kinds(monitor)).toEqual([])
  })

  it('with tree heads: stale when the newest is too old, or from the future', async () => {
    const { log, clock, start, printed } = await stage(3)
    let ageMs = 0
    log.lie = (path) =>
      path === 'ct/v1/get-sth' ? getSth({ ...log.tree, timestampMs: clock.ms - ageMs }) : undefined
    const monitor = await start({ treeHeadKey: TREE_HEAD_SIGNER.spki })
    expect(await kinds(monitor)).toEqual([])
    clock.ms += 48 * HOUR_MS
    expect(await kinds(monitor)).toEqual([])
    ageMs = -HOUR_MS
    expect(await kinds(monitor)).toEqual(['stale'])
    expect(printed[0]!.message).toContain('future')
  })

  it('an old tree head stays old', async () => {
    const { log, clock, start } = await stage(3)
    const shown = getSth({ ...log.tree, timestampMs: clock.ms })
    log.lie = (path) => (path === 'ct/v1/get-sth' ? shown : undefined)
    const monitor = await start({ treeHeadKey: TREE_HEAD_SIGNER.spki })
    expect(await kinds(monitor)).toEqual([])
    clock.ms += 2 * HOUR_MS
    expect(await kinds(monitor)).toEqual(['stale'])
  })

  it('of a log that is known to have ended no age is a finding', async () => {
    const { log, clock, start } = await stage(3)
    const shown = getSth({ ...log.tree, timestampMs: clock.ms })
    log.lie = (path) => (path === 'ct/v1/get-sth' ? shown : undefined)
    const monitor = await start({ treeHeadKey: TREE_HEAD_SIGNER.spki, frozen: true })
    expect(await kinds(monitor)).toEqual([])
    clock.ms += 2000 * HOUR_MS
    expect(await kinds(monitor)).toEqual([])
  })
})

describe('the second reader', () => {
  it('finds a tree head that is not of the history of the checkpoint', async () => {
    const other = await FakeLog.create(300, upper)
    const { log, clock, start, store } = await stage(300)
    log.lie = (path) =>
      path === 'ct/v1/get-sth' ? getSth({ ...other.tree, timestampMs: clock.ms }) : undefined
    expect(await kinds(await start({ treeHeadKey: TREE_HEAD_SIGNER.spki }))).toEqual(['fork'])
    expect([...store.evidence.values()][0]).toContain('"source": "get-sth"')
  })

  it('finds a tree head that is smaller than an older one', async () => {
    const { log, clock, start, printed } = await stage(300)
    let tree = log.tree
    log.lie = (path) => (path === 'ct/v1/get-sth' ? getSth({ ...tree, timestampMs: clock.ms }) : undefined)
    const monitor = await start({ treeHeadKey: TREE_HEAD_SIGNER.spki })
    expect(await kinds(monitor)).toEqual([])
    tree = (await FakeLog.create(200)).tree
    clock.ms += 1
    expect(await kinds(monitor)).toEqual(['rollback'])
    expect(printed[0]!.message).toContain('size 200 after one of size 300')
  })

  it('reports a bad signature and a route that is gone', async () => {
    const { log, start } = await stage(3)
    log.lie = (path) =>
      path === 'ct/v1/get-sth'
        ? getSth({ ...log.tree, timestampMs: 5 }).replace('"timestamp":5', '"timestamp":6')
        : undefined
    const monitor = await start({ treeHeadKey: TREE_HEAD_SIGNER.spki })
    expect(await kinds(monitor)).toEqual(['bad_signature'])
    log.lie = () => undefined
    expect(await kinds(monitor)).toEqual(['unreachable'])
  })
})

describe('the quorum', () => {
  it('is lost when too few witnesses have cosigned the newest head', async () => {
    const witness = generateCosignerKey('w.example', KEY_TYPE.ed25519Cosignature, new Uint8Array(32).fill(3))
    const policy = parsePolicy(`witness w ${formatVerifierKey(witness.verifier)}\nquorum w\n`)
    const { log, start, clock, printed } = await stage(3)
    const monitor = await start({ policy })
    expect(await kinds(monitor)).toEqual(['quorum_lost'])
    expect(printed[0]!.message).toContain('"w"')
    const text = log.note.slice(0, log.note.indexOf('\n\n') + 1)
    log.note += formatSignatures([witness.cosign(text, clock.ms / 1000)])
    expect(await kinds(monitor)).toEqual([])
    clock.ms += 2 * HOUR_MS
    // The cosignature dates the head.
    expect(await kinds(monitor)).toEqual(['stale'])
  })
})
