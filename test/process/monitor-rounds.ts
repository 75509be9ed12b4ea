import assert from 'node:assert/strict'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as nextTurn, setTimeout as wait } from 'node:timers/promises'
import { vi } from 'vitest'
import type { Finding } from '../../src/monitor/finding.ts'
import { testFolder } from '../support/folder.ts'
import { ServerProcess } from '../support/process.ts'
import { Connection } from './connection.ts'
import { makeLogFolder, prefix, type LogFolder } from './log-folder.ts'
import { MonitorProcess, savedPosition } from './monitor-process.ts'
import { Random } from './random.ts'

/** What happened in some rounds. */
export interface MonitorReport {
  rounds: number
  killedStarting: number
  /** Rounds in which a kill came while entries were still to be read. */
  killedAtWork: number
  entries: number
  needles: number
  /** Matches that were printed more than once, which is allowed. */
  repeated: number
}

const NEEDLE = 'needle'
/** Entries of one batch; a batch is more than one bundle, so kills fall between the saves of a round, too. */
const BATCH = 700
/** Their share is large: what is to be printed must take time, or no kill would ever come before it. */
const NEEDLES = 0.3
const MOST_WAITED_MS = 2000

/**
 * Kills a monitor again and again while it follows a server under load.
 *
 * After each kill, what is on disk must not be ahead of what came out: every match below the saved position has been
 * printed. At the end every match has been.
 */
export async function monitorRounds(rounds: number, seed: number): Promise<MonitorReport> {
  const log = await makeLogFolder()
  const server = new ServerProcess(log.folder)
  const run = new MonitorRun(log, prefix(await server.url), new Random(seed))
  for (let round = 0; round < rounds; round++) await run.round()
  return run.finish()
}

class MonitorRun {
  readonly #log: LogFolder
  readonly #url: string
  readonly #random: Random
  readonly #state = join(testFolder(), 'state')
  readonly #connection: Connection
  /** Indexes of the entries that are to be found, in order. */
  readonly #needles: number[] = []
  /** How often the match of an index was printed. */
  readonly #printed = new Map<number, number>()
  #size = 0
  #position = 0
  readonly #counts = { rounds: 0, killedStarting: 0, killedAtWork: 0 }

  constructor(log: LogFolder, url: string, random: Random) {
    this.#log = log
    this.#url = url
    this.#random = random
    this.#connection = new Connection(url)
  }

  /** One life of a monitor, from its start to a kill. */
  async round(): Promise<void> {
    const how = this.#random.pick(['starting', 'at work', 'at a save', 'at a save'])
    const monitor = await (how === 'at a save'
      ? this.#killedAtSave()
      : this.#killedAtWork(how === 'starting'))
    this.#collect(monitor.findings)
    this.#checkState()
    if (how === 'starting') this.#counts.killedStarting++
    else if (this.#position < this.#size) this.#counts.killedAtWork++
    this.#counts.rounds++
  }

  /** At a random moment, with entries coming all the while. */
  async #killedAtWork(starting: boolean): Promise<MonitorProcess> {
    const monitor = this.#start()
    if (starting) await wait(this.#random.between(1, 400))
    else await monitor.watching
    const load = this.#append(this.#random.between(1, 8))
    if (!starting) await wait(this.#random.between(0, 250))
    await this.#kill(monitor)
    await load
    return monitor
  }

  /** As soon as it has saved how far it is, which must not be further than what has come out. */
  async #killedAtSave(): Promise<MonitorProcess> {
    await this.#append(this.#random.between(4, 8))
    const monitor = this.#start()
    for (let saves = this.#random.between(1, 3); saves > 0; saves--) await this.#saved()
    await this.#kill(monitor)
    return monitor
  }

  async #kill(monitor: MonitorProcess): Promise<void> {
    const { signal } = await monitor.kill()
    assert.equal(signal, 'SIGKILL', monitor.output)
  }

  /** Resolves at the next save, or after a while without one: it may have had less to do. */
  async #saved(): Promise<void> {
    const before = inodeOf(this.#state)
    for (const endMs = performance.now() + MOST_WAITED_MS; performance.now() < endMs;) {
      if (inodeOf(this.#state) !== before) return
      await nextTurn()
    }
  }

  /** A last monitor, which lives: it goes on where the others were killed, and then nothing may be missing. */
  async finish(): Promise<MonitorReport> {
    await this.#append(1)
    const monitor = this.#start()
    await vi.waitUntil(() => savedPosition(this.#state, this.#log.origin) === this.#size, {
      timeout: 60_000,
      interval: 20,
    })
    assert.deepEqual(await monitor.stop(), { code: 0, signal: null })
    this.#collect(monitor.findings)
    this.#connection.close()
    this.#checkState()
    assert.deepEqual(
      [...this.#printed.keys()].toSorted((a, b) => a - b),
      this.#needles,
    )
    const repeated = [...this.#printed.values()].filter((times) => times > 1).length
    return { ...this.#counts, entries: this.#size, needles: this.#needles.length, repeated }
  }

  #start(): MonitorProcess {
    const { verifierKey } = this.#log
    const flags = ['--state', this.#state, '--contains', NEEDLE, '--interval', '1']
    return new MonitorProcess([this.#url, '--key', verifierKey, ...flags])
  }

  async #append(batches: number): Promise<void> {
    for (let batch = 0; batch < batches; batch++) {
      const lines = Array.from({ length: BATCH }, (_, i) => this.#entry(this.#size + i))
      const body = Buffer.from(`${lines.map((text) => JSON.stringify({ text })).join('\n')}\n`)
      const headers = { 'content-type': 'application/x-ndjson' }
      const { status } = await this.#connection.ask('v1/batches', { method: 'POST', body, headers })
      assert.equal(status, 200)
      this.#size += BATCH
    }
  }

  #entry(index: number): string {
    if (!this.#random.chance(NEEDLES)) return `entry ${index}`
    this.#needles.push(index)
    return `entry ${index}: ${NEEDLE}`
  }

  #collect(findings: readonly Finding[]): void {
    for (const { kind, message, detail } of findings) {
      assert.equal(kind, 'match', message)
      const index = detail['index'] as number
      this.#printed.set(index, (this.#printed.get(index) ?? 0) + 1)
    }
  }

  /** What the state says was dealt with has come out, and the state never goes back. */
  #checkState(): void {
    const position = savedPosition(this.#state, this.#log.origin)
    assert.ok(position >= this.#position, `the state went back from ${this.#position} to ${position}`)
    this.#position = position
    const lost = this.#needles.filter((index) => index < position && !this.#printed.has(index))
    assert.deepEqual(lost, [], `the state is at ${position}, and matches before that never came out`)
  }
}

/** Every save is another file that takes the place of the one before. */
function inodeOf(folder: string): number {
  try {
    const name = readdirSync(folder).find((each) => each.endsWith('.json'))
    return name === undefined ? 0 : statSync(join(folder, name)).ino
  } catch {
    return 0
  }
}
