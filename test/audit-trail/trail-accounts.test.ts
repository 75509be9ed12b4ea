import { expect, test } from 'vitest'
import { recordStart } from '../../src/server/access.ts'
import { initDataFolder } from '../../src/instance/data-folder.ts'
import { MetaLog } from '../../src/audit-trail/meta-log.ts'
import { openStoredLog } from '../../src/instance/open-log.ts'
import { loadConfig } from '../../src/config/config.ts'
import { logSettings } from '../../src/server/settings.ts'
import { readTrailState, TrailAccounts, unaccounted } from '../../src/audit-trail/trail-state.ts'
import { Instance } from '../access/instance.ts'
import { stele } from '../cli/fixture.ts'
import { testFolder } from '../support/folder.ts'
import { openTestLog, TEST_NOW_MS } from '../support/log.ts'

/** A generator of numbers, the same at every run. */
function numbers(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
    return state % below
  }
}

test('whatever the order of the lines, the gaps are the entries that none of them speaks of', () => {
  const random = numbers(7)
  for (let round = 0; round < 200; round++) {
    const accounts = new TrailAccounts()
    accounts.begin('main', 10)
    const runs: { index: number; entries: number }[] = []
    for (let index = 10; index < 80;) {
      const entries = 1 + random(4)
      runs.push({ index, entries })
      index += entries
    }
    const lines = runs.filter(() => random(4) > 0).sort(() => random(3) - 1)
    for (const line of lines) accounts.cover({ log: 'main', ...line })
    const spokenOf = new Set(
      lines.flatMap(({ index, entries }) => Array.from({ length: entries }, (_, i) => index + i)),
    )
    const size = runs.at(-1)!.index + runs.at(-1)!.entries
    const missing = Array.from({ length: size - 10 }, (_, i) => 10 + i).filter((i) => !spokenOf.has(i))
    const named = unaccounted({ log: 'main', size, ...accounts.of('main') }).flatMap(([begin, end]) =>
      Array.from({ length: end - begin }, (_, i) => begin + i),
    )
    expect(named.toSorted((a, b) => a - b)).toEqual(missing)
  }
})

test('gaps that are too many to be listed are counted', () => {
  const accounts = new TrailAccounts()
  accounts.begin('main', 0)
  for (let i = 0; i < 150; i++) accounts.cover({ log: 'main', index: 3 * i + 2, entries: 1 })
  const { gaps, earlier, accounted } = accounts.of('main')
  expect([gaps!.length, earlier, accounted]).toEqual([100, 100, 450])
})

test('entries that were committed and have no line are named by the next start, and by the one after that no more', async () => {
  const at = await Instance.started()
  const writer = await at.key('writer')
  expect((await at.ask('POST', '/logs/main/v1/entries', writer, 'one')).status).toBe(200)
  expect((await at.ask('POST', '/logs/main/add', writer, 'two')).status).toBe(200)
  await at.stop()
  // What a crash between commit and line leaves behind.
  const log = await openStoredLog(at.folder, 'main', logSettings(loadConfig({})))
  await log.append(['three', 'four'].map((text) => new TextEncoder().encode(text)))
  await log.close()
  expect(await at.changedAtStart()).toEqual([])
  expect(await at.changedAtStart()).toEqual([])
  const starts = await at.lines('start')
  const ofMain = starts.map(({ logs }) =>
    (logs as { log: string }[]).find(({ log: name }) => name === 'main'),
  )
  expect(ofMain).toEqual([
    { log: 'main', size: 0 },
    { log: 'main', size: 4, accounted: 2 },
    { log: 'main', size: 4, accounted: 4 },
  ])
  const shown = await stele(['meta', '--kind', 'start', '--data', at.folder])
  expect(shown.out).toContain('no line for main 2 to 3')
})

test('logs that are made, frozen, rolled over or written in batches leave nothing without a line', async () => {
  const at = await Instance.started()
  const writer = await at.key('writer')
  await at.manage('/v1/logs', { name: 'new', origin: 'log.example/new' })
  const batch = (body: string) =>
    fetch(`${at.url}/logs/new/v1/batches`, {
      method: 'POST',
      headers: { authorization: `Bearer ${writer}`, 'content-type': 'application/x-ndjson' },
      body,
    })
  expect((await batch('a\nb\nc\n')).status).toBe(200)
  expect((await batch('b\nd\na\ne\n')).status).toBe(200)
  expect((await at.ask('POST', '/logs/new/v1/entries', writer, 'a')).status).toBe(200)
  await at.manage('/v1/logs/new/freeze', {})
  await at.stop()
  const words = 'rollover main main2 --origin log.example/main2 --url https://log.example/logs/main2'
  const rolled = await stele(['log', ...words.split(' '), '--data', at.folder])
  expect([rolled.code, rolled.err]).toEqual([0, rolled.err])
  await at.start()
  await at.stop()
  const { logs } = (await at.lines('start')).at(-1)!
  expect(logs).toEqual([
    { log: 'hidden', size: 0, accounted: 0 },
    { log: 'main', size: 1, accounted: 1 },
    { log: 'main2', size: 1, accounted: 1 },
    { log: 'new', size: 5, accounted: 5 },
  ])
})

test('two hundred logs with gaps are stated in lines of bounded length, and read back', async () => {
  const folder = `${testFolder()}/data`
  await initDataFolder(folder)
  const target = await openTestLog({ name: 'meta', allowDuplicates: true })
  const accounts = new TrailAccounts()
  const names = Array.from({ length: 205 }, (_, i) => `${'tenant'.repeat(8)}-${i}`)
  for (const log of names) {
    accounts.begin(log, 0)
    for (let i = 0; i < 150; i++) accounts.cover({ log, index: 1e9 + 3 * i, entries: 1 })
  }
  const configuration = Object.fromEntries(names.map((name) => [`log ${name}`, 'ab'.repeat(32)]))
  const before = new MetaLog(target, () => TEST_NOW_MS, { configuration, accounts })
  await before.write({ kind: 'event', event: 'first page, which says it all again' })
  const read = await readTrailState(target.log)
  expect(read?.configuration).toEqual(configuration)
  expect(read?.accounts.list()).toEqual(accounts.list())
  const sizes = names.map((log) => ({ log, size: 2e9 }))
  const server = { version: 'test', options: {}, sizes: () => sizes }
  const { untraced } = await recordStart(folder, new MetaLog(target, () => TEST_NOW_MS), target, server)
  expect(untraced).toHaveLength(205)
  const pages = await target.log.readIntegrated(0, target.log.integrated.size)
  const lines = pages.flatMap((page) => new TextDecoder().decode(page).split('\n'))
  expect(Math.max(...lines.map((line) => Buffer.byteLength(line)))).toBeLessThan(60_000)
  expect((await readTrailState(target.log))?.accounts.list()).toEqual(
    names.toSorted().map((log) => ({ log, accounted: 2e9 })),
  )
})

test('what is accounted for is read back behind a page that says it again', async () => {
  const at = await Instance.started()
  const writer = await at.key('writer')
  // One page for each of them.
  for (let i = 0; i < 300; i++) await at.ask('POST', '/logs/main/v1/entries', writer, `${i}`)
  const state = await readTrailState(at.server.host.get('meta')!.log!)
  expect(state?.accounts.of('main')).toEqual({ accounted: 300 })
})
