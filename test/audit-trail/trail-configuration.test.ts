import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { recordStart } from '../../src/server/access.ts'
import { administer } from '../../src/audit-trail/administer.ts'
import { hashOf, logPart, readConfiguration } from '../../src/instance/configuration.ts'
import { initDataFolder, logFiles } from '../../src/instance/data-folder.ts'
import { MetaLog } from '../../src/audit-trail/meta-log.ts'
import { testFolder } from '../support/folder.ts'
import { openTestLog, TEST_NOW_MS, type TestLog } from '../support/log.ts'

const SERVER = { version: 'test', options: { port: 1 } }

/** A data folder as far as its configuration goes, and the meta log that starts of it are recorded in. */
class Recorded {
  readonly folder: string
  readonly target: TestLog

  private constructor(folder: string, target: TestLog) {
    this.folder = folder
    this.target = target
  }

  static async of(logs: number): Promise<Recorded> {
    const folder = `${testFolder()}/data`
    await initDataFolder(folder)
    const at = new Recorded(folder, await openTestLog({ name: 'meta', allowDuplicates: true }))
    writeFileSync(join(at.folder, 'access.json'), 'keys')
    for (let i = 0; i < logs; i++) at.put(nameOf(i), `log ${i}`)
    return at
  }

  put(name: string, text: string): void {
    mkdirSync(logFiles(this.folder, name).folder, { recursive: true })
    writeFileSync(logFiles(this.folder, name).info, text)
  }

  policy(name: string, text: string): void {
    writeFileSync(logFiles(this.folder, name).policy, text)
  }

  /** A start of the server. @returns what it found changed */
  async start(): Promise<readonly string[]> {
    const meta = new MetaLog(this.target, () => TEST_NOW_MS)
    return (await recordStart(this.folder, meta, this.target, SERVER)).changed
  }

  /** A server that starts and makes some logs while it runs. */
  async startAndCreate(names: readonly string[]): Promise<void> {
    const meta = new MetaLog(this.target, () => TEST_NOW_MS)
    await recordStart(this.folder, meta, this.target, SERVER)
    for (const name of names) {
      await administer(
        { folder: this.folder, meta },
        { act: 'log_create', by: 'test', log: name },
        async (announce) => {
          await announce({ before: null, after: {}, parts: { [logPart(name)]: hashOf(name) } })
          this.put(name, name)
        },
      )
    }
  }

  async lines(): Promise<Record<string, unknown>[]> {
    const { log } = this.target
    const pages = await log.readIntegrated(0, log.integrated.size)
    return pages
      .flatMap((page) => new TextDecoder().decode(page).trim().split('\n'))
      .map((line) => JSON.parse(line) as Record<string, unknown>)
  }

  /** A line as an earlier version wrote it. */
  async earlier(line: object): Promise<void> {
    const text = `${JSON.stringify({ at: new Date(TEST_NOW_MS).toISOString(), ...line })}\n`
    await this.target.log.append([new TextEncoder().encode(text)])
  }
}

const nameOf = (i: number): string => `tenant-${String(i).padStart(3, '0')}-${'x'.repeat(40)}`

test.each([1, 98, 99, 100, 101, 205])(
  'with %i logs a restart finds nothing changed, and a log that was edited is named',
  async (count) => {
    const at = await Recorded.of(count)
    for (let i = 0; i < count; i += 3) at.policy(nameOf(i), 'quorum none\n')
    expect([await at.start(), await at.start()]).toEqual([[], []])
    await at.startAndCreate(['zz-new'])
    expect(await at.start()).toEqual([])
    at.put(nameOf(0), 'edited by hand')
    expect(await at.start()).toEqual([logPart(nameOf(0))])
    expect(await at.start()).toEqual([])
    for (const line of await at.lines()) expect(JSON.stringify(line).length).toBeLessThan(60_000)
  },
)

test('logs that are made while the server runs, past a hundred of them, are no change at the next start', async () => {
  const at = await Recorded.of(95)
  await at.startAndCreate(Array.from({ length: 12 }, (_, i) => `zz-${i}`))
  expect(await at.start()).toEqual([])
  await at.startAndCreate(['zzz-1', 'zzz-2'])
  at.put('zz-3', 'edited by hand')
  expect(await at.start()).toEqual([logPart('zz-3')])
})

test('when everything was changed the start says how much, in a line of bounded length', async () => {
  const at = await Recorded.of(700)
  await at.start()
  for (let i = 0; i < 700; i++) at.put(nameOf(i), 'edited')
  expect(await at.start()).toHaveLength(700)
  const start = (await at.lines()).at(-1)!
  expect(start).toMatchObject({ kind: 'start', changedInAll: 700 })
  expect(start['changed']).toHaveLength(100)
})

/** How earlier versions recorded a configuration: past 100 parts of logs one hash stood for all of them. */
function earlierConfiguration(all: Readonly<Record<string, string>>): Record<string, string> {
  const { access, options, ...logs } = all
  const own = { options: options!, access: access! }
  if (Object.keys(logs).length <= 100) return { ...own, ...logs }
  return { ...own, logs: createHash('sha256').update(JSON.stringify(logs)).digest('hex') }
}

test.each([3, 100, 101, 205])(
  'the first start after an upgrade finds nothing changed, with %i logs',
  async (count) => {
    const at = await Recorded.of(count)
    const recorded = earlierConfiguration(await readConfiguration(at.folder, SERVER.options))
    await at.earlier({ kind: 'start', version: '0', configuration: recorded, changed: [] })
    expect(await at.start()).toEqual([])
    expect(await at.start()).toEqual([])
  },
)

test('an edit before the upgrade is named by its log, or by all of them where an earlier version named them together', async () => {
  for (const [count, name] of [
    [3, logPart(nameOf(1))],
    [205, 'logs'],
  ] as const) {
    const at = await Recorded.of(count)
    const recorded = earlierConfiguration(await readConfiguration(at.folder, SERVER.options))
    await at.earlier({ kind: 'start', version: '0', configuration: recorded, changed: [] })
    at.put(nameOf(1), 'edited')
    expect(await at.start()).toEqual([name])
    expect(await at.start()).toEqual([])
  }
})

test('acts that an earlier version recorded beside one hash for all logs are no change after an upgrade', async () => {
  for (const name of ['zz-new', nameOf(7)]) {
    const at = await Recorded.of(205)
    const recorded = earlierConfiguration(await readConfiguration(at.folder, SERVER.options))
    await at.earlier({ kind: 'start', version: '0', configuration: recorded, changed: [] })
    const configuration = { ...recorded, [logPart(name)]: hashOf('announced') }
    const act = { kind: 'admin', act: 'log_set_access', by: 'x', before: null, after: null }
    await at.earlier({ ...act, configuration })
    at.put(name, 'announced')
    expect(await at.start()).toEqual([])
    expect(await at.start()).toEqual([])
  }
})
