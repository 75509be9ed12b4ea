import assert from 'node:assert/strict'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
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

  /** One life of a monitor, from its start to a kill at a random moment, with entries coming all the while. */
  async round(): Promise<void> {
    const monitor = this.#start()
    const starting = this.#random.chance(0.2)
    if (starting) await wait(this.#random.between(1, 400))
    else await monitor.watching
    const load = this.#append(this.#random.between(1, 8))
    if (!starting) await wait(this.#random.between(0, 250))
    const { signal } = await monitor.kill()
    assert.equal(signal, 'SIGKILL', monitor.output)
    await load
    this.#collect(monitor.findings)
    this.#checkState()
    if (starting) this.#counts.killedStarting++
    else if (this.#position < this.#size) this.#counts.killedAtWork++
    this.#counts.rounds++
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
    if (!this.#random.chance(0.03)) return `entry ${index}`
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
