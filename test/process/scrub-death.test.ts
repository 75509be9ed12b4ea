import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { Readiness } from '../../src/http/schemas.ts'
import { createLog, initDataFolder, logFiles } from '../../src/server/data-folder.ts'
import { openStoredLog } from '../../src/server/open-log.ts'
import { stele } from '../cli/fixture.ts'
import { SETTINGS } from '../server/settings.ts'
import { testFolder } from '../support/folder.ts'
import { ServerProcess, type Exit } from '../support/process.ts'
import { incompressible, makeDeadly } from '../support/tables.ts'

const SCRUB = fileURLToPath(new URL('scrub-process.ts', import.meta.url))

/** More than opening reads by itself, which would be what dies. */
const LARGE = 10_000
/** Entries 1,024 to 1,279. */
const REGION = 4

/** Logs in table files, as a restart leaves them. */
async function logsOf(sizes: Readonly<Record<string, number>>): Promise<string> {
  const folder = `${testFolder()}/data`
  await initDataFolder(folder)
  for (const [name, size] of Object.entries(sizes)) {
    await createLog(folder, { name, origin: `log.example/${name}`, allowDuplicates: false, reads: 'public' })
    const log = await openStoredLog(folder, name, SETTINGS)
    for (let at = 0; at < size; at += 4096) await log.append(incompressible(at, Math.min(at + 4096, size)))
    await log.close()
    for (let i = 0; i < 2; i++) await (await openStoredLog(folder, name, SETTINGS)).close()
  }
  return folder
}

/** A process that scrubs the logs of a folder, and what it says. */
class Scrubbing {
  readonly lines: Record<string, unknown>[] = []
  readonly exited: Promise<Exit>
  readonly #child: ChildProcess
  #heard = (): void => {}

  constructor(folder: string, mode: 'once' | 'on') {
    const args = ['--conditions=source', '--import', 'tsx', SCRUB, folder, mode]
    this.#child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] })
    createInterface({ input: this.#child.stdout! }).on('line', (line) => {
      this.lines.push(JSON.parse(line) as Record<string, unknown>)
      this.#heard()
    })
    this.exited = new Promise((resolve) => {
      this.#child.once('close', (code, signal) => resolve({ code, signal }))
    })
    onTestFinished(async () => void (await this.kill()))
  }

  /** Resolves when such a line was said; rejects if the process ends before. */
  async said(fact: string): Promise<void> {
    const ended = this.exited.then(({ code, signal }) => {
      throw new Error(`ended with ${code ?? signal} before it said "${fact}"`)
    })
    while (!this.lines.some((line) => fact in line)) {
      await Promise.race([new Promise<void>((resolve) => (this.#heard = resolve)), ended])
    }
    ended.catch(() => {})
  }

  kill(): Promise<Exit> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill('SIGKILL')
    return this.exited
  }

  of(kind: string): unknown[] {
    return this.lines.filter((line) => kind in line).map((line) => line[kind])
  }
}

const markOf = (folder: string, name = 'main'): string | undefined => {
  const { scrubReading } = logFiles(folder, name)
  return existsSync(scrubReading) ? readFileSync(scrubReading, 'utf8').trim() : undefined
}

const isReading = (folder: string): boolean => /^\d+$/.test(markOf(folder) ?? '')

const ABORTED: Exit = { code: null, signal: 'SIGABRT' }
const PLACE = 'entries 1024 to 1279'

test('damage that ends the process ends it twice; then it is a finding, and what lies behind it is read', async () => {
  const folder = await logsOf({ main: LARGE, other: 1000 })
  const undo = makeDeadly(logFiles(folder, 'main').database, [REGION * 256 + 20, REGION * 256 + 220])

  for (const deaths of [1, 2]) {
    const dying = new Scrubbing(folder, 'once')
    expect(await dying.exited).toEqual(ABORTED)
    expect(dying.of('found')).toEqual([])
    expect(markOf(folder)).toBe(String(REGION))
    // The other log is read by the same process, and not blamed.
    expect([undefined, '-']).toContain(markOf(folder, 'other'))
    expect(dying.of('error').join()).toContain(deaths === 1 ? '' : PLACE)
  }

  const third = new Scrubbing(folder, 'once')
  expect(await third.exited).toEqual({ code: 0, signal: null })
  expect(third.of('found')).toEqual([PLACE])
  expect(third.lines.find((line) => 'found' in line)).toMatchObject({
    log: 'main',
    message: expect.stringMatching(/ended 2 times .*Stop the server and run "stele fsck"/) as string,
  })
  expect(third.lines.filter((line) => 'passed' in line)).toContainEqual({ passed: 'main', findings: 1 })
  expect([markOf(folder), markOf(folder, 'other')]).toEqual(['-', '-'])

  // A real server with real clocks: it lives, serves what is good, and says what is not.
  const server = new ServerProcess(folder)
  const url = await server.url
  const ready = await fetch(`${url}/readyz`)
  const { logs } = Readiness.parse(await ready.json())
  expect([ready.status, logs.map((log) => [log.name, log.ready])]).toEqual([
    503,
    [
      ['main', false],
      ['other', true],
    ],
  ])
  expect(logs[0]!.reason).toContain(`damaged: ${PLACE}`)
  expect(await (await fetch(`${url}/metrics`)).text()).toContain('stele_scrub_findings{log="main"} 1')
  expect((await fetch(`${url}/logs/main/v1/entries/9900`)).status).toBe(200)
  // Nobody can end it by asking for what is damaged.
  for (const path of ['v1/entries/1100', 'tile/entries/004', 'tile/0/004']) {
    const answer = await fetch(`${url}/logs/main/${path}`)
    expect([path, answer.status, await answer.json()]).toMatchObject([path, 500, { code: 'corrupt' }])
  }
  expect(await server.stop()).toEqual({ code: 0, signal: null })

  // Once the bytes are right again, fsck is who says so.
  undo()
  const checked = await stele(['fsck', 'main', '--data', folder])
  expect([checked.code, checked.out]).toEqual([0, expect.stringContaining('intact')])
  const fourth = new Scrubbing(folder, 'once')
  expect(await fourth.exited).toEqual({ code: 0, signal: null })
  expect([fourth.of('found'), fourth.of('cleared')]).toEqual([[], [PLACE]])
}, 240_000)

test('a process that is killed in the middle of a read, again and again, is no finding', async () => {
  const folder = await logsOf({ main: 3000 })
  let inTheMiddle = 0
  for (let round = 0; inTheMiddle < 3 && round < 40; round++) {
    const scrubbing = new Scrubbing(folder, 'on')
    // What the one before was reading has been read again by then.
    await scrubbing.said('passed')
    while (!isReading(folder)) await new Promise((resolve) => setImmediate(resolve))
    await scrubbing.kill()
    expect(scrubbing.of('found')).toEqual([])
    if (isReading(folder)) inTheMiddle++
  }
  expect(inTheMiddle).toBe(3)
  const last = new Scrubbing(folder, 'once')
  expect(await last.exited).toEqual({ code: 0, signal: null })
  expect([last.of('found'), last.of('error').length]).toEqual([[], 1])
  expect(markOf(folder)).toBe('-')
  expect(readFileSync(logFiles(folder, 'main').scrubDeaths, 'utf8').trim()).toBe('[]')
}, 240_000)
