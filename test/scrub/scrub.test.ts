import { rmSync } from 'node:fs'
import { expect, test } from 'vitest'
import { Readiness } from '../../src/http/schemas.ts'
import type { ScrubFinding } from '../../src/scrub/scrub-finding.ts'
import type { ScrubPass } from '../../src/scrub/scrub-cursor.ts'
import type { ScrubClock } from '../../src/scrub/scrub-options.ts'
import { createLog, initDataFolder, logFiles } from '../../src/instance/data-folder.ts'
import { openStoredLog } from '../../src/instance/open-log.ts'
import { serve } from '../http/server.ts'
import { alterRecord, ENTRY, HEAD, TILE } from '../storage/database.ts'
import { testFolder } from '../support/folder.ts'
import { openHost, SETTINGS, texts } from '../instance/fixture.ts'

const NAMES = ['good', 'rotten']

/** @param size of the one that will rot */
async function twoLogs(size: number): Promise<string> {
  const folder = `${testFolder()}/data`
  await initDataFolder(folder)
  for (const name of NAMES) {
    await createLog(folder, { name, origin: `log.example/${name}`, allowDuplicates: false, reads: 'public' })
    const log = await openStoredLog(folder, name, SETTINGS)
    const end = name === 'rotten' ? size : 300
    for (let at = 0; at < end; at += 8192) {
      const batch = texts(at, Math.min(at + 8192, end))
      await log.append(batch.map((text) => new TextEncoder().encode(text)))
    }
    await log.close()
  }
  return folder
}

/** A host whose scrubbers work at once, rest for no longer than a turn, and stop resting after this many passes of each log. */
async function scrubbingHost(folder: string, passes: number) {
  const found: [name: string, finding: ScrubFinding][] = []
  const done: [name: string, pass: ScrubPass][] = []
  let heard = (): void => {}
  let ms = Date.now()
  const clock: ScrubClock = {
    nowMs: () => ms,
    async sleep(forMs, signal) {
      ms += forMs
      const enough = NAMES.every((name) => done.filter(([of]) => of === name).length >= passes)
      if (!enough) await new Promise((resolve) => setImmediate(resolve))
      else if (!signal.aborted) {
        await new Promise<void>((resolve) =>
          signal.addEventListener('abort', () => resolve(), { once: true }),
        )
      }
    },
  }
  const host = await openHost(folder, {
    scrubBytesPerSecond: 1e9,
    scrubClock: clock,
    events: {
      scrub: (name) => ({
        onFinding: (finding) => void found.push([name, finding]),
        onPassDone: (pass) => (done.push([name, pass]), heard()),
      }),
    },
  })
  const passed = async (): Promise<void> => {
    while (!NAMES.every((name) => done.some(([of]) => of === name))) {
      await new Promise<void>((resolve) => (heard = resolve))
    }
  }
  return { host, found, passed }
}

test.each([
  ['an entry', 20, ENTRY, new TextEncoder().encode('forged'), 'entry 20', 'leaf hash'],
  ['a tile', 255, TILE, new Uint8Array(8192), 'tile 0/0', 'at position 0'],
  ['a head that nobody signed', 100, HEAD, new Uint8Array(60), 'head of size 100', 'signed by this log'],
] as const)(
  '%s that was changed in the database fails readyz for that log alone; what is good is served',
  async (_, position, kind, value, place, words) => {
    // Opening reads the tiles of the edge itself; with this many leaves tile 0/0 is not among them.
    const folder = await twoLogs(place === 'tile 0/0' ? 66_000 : 700)
    await alterRecord(logFiles(folder, 'rotten').database, position, kind, () => value)
    const { host, found, passed } = await scrubbingHost(folder, 1)
    await passed()
    expect(found.map(([name, finding]) => [name, finding.place])).toEqual([['rotten', place]])
    const server = await serve([...host.list()], { nowMs: Date.now })
    const reply = await server.get('/readyz')
    const { logs } = Readiness.parse(reply.json())
    expect(reply.status).toBe(503)
    expect(logs.map(({ name, ready, state }) => [name, ready, state])).toEqual([
      ['good', true, 'serving'],
      ['rotten', false, 'serving'],
    ])
    expect(logs[1]!.reason).toContain(`damaged: ${place}`)
    expect(logs[1]!.reason).toContain(words)
    expect((await server.get('/logs/rotten/v1/entries/600')).status).toBe(200)
    expect((await server.post('/logs/rotten/add', 'more')).status).toBe(200)

    const metrics = (await server.get('/metrics')).text
    expect(metrics).toContain('stele_scrub_findings{log="rotten"} 1')
    expect(metrics).toContain('stele_scrub_findings{log="good"} 0')
    expect(metrics).toContain('stele_scrub_passes_total{log="good"} ')
    expect(metrics).toMatch(/stele_scrub_bytes_read_total\{log="good"\} [1-9]/)
  },
  60_000,
)

test('a server that is started again remembers damage; without its cursor it finds it anew', async () => {
  const folder = await twoLogs(700)
  await alterRecord(logFiles(folder, 'rotten').database, 20, ENTRY, () => new Uint8Array(5))
  const first = await scrubbingHost(folder, 1)
  await first.passed()
  await first.host.close()
  const second = await scrubbingHost(folder, 1)
  await second.passed()
  expect(second.found).toEqual([])
  expect(second.host.get('rotten')!.scrub!.findings.map(({ place }) => place)).toEqual(['entry 20'])
  await second.host.close()
  rmSync(logFiles(folder, 'rotten').scrub)
  const third = await scrubbingHost(folder, 1)
  await third.passed()
  expect(third.found.map(([, { place }]) => place)).toEqual(['entry 20'])
})
