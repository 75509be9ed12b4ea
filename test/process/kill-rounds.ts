import assert from 'node:assert/strict'
import { setTimeout as wait } from 'node:timers/promises'
import { ServerProcess } from '../support/process.ts'
import { eachOver } from './connection.ts'
import { Examiner, type Tally } from './examiner.ts'
import { Ledger } from './ledger.ts'
import { Load } from './load.ts'
import { makeLogFolder, prefix, type LogFolder } from './log-folder.ts'
import { Random } from './random.ts'
import { submit } from './submission.ts'

/** What happened in some rounds. */
export interface KillReport {
  rounds: number
  killedUnderLoad: number
  killedStarting: number
  stoppedStarting: number
  killedStopping: number
  /** Submissions whose fate a kill left open, and how many of them turned out to be in the log. */
  leftOpen: number
  leftOpenAndLogged: number
  /** Of the examinations between the rounds, and of the one of everything at the end. */
  between: Tally
  atTheEnd: Tally
}

/**
 * Kills the server again and again, at random moments of its life and under load, and examines the log after each
 * restart.
 */
export async function killRounds(rounds: number, seed: number): Promise<KillReport> {
  const run = new KillRun(await makeLogFolder(), seed)
  for (let round = 0; round < rounds; round++) await run.round(round)
  return run.finish()
}

class KillRun {
  readonly #log: LogFolder
  readonly #seed: number
  /** Of the moments to kill at. What is sent has numbers of its own, for how many it takes depends on the time it has. */
  readonly #random: Random
  readonly #ledger = new Ledger()
  readonly #examiner: Examiner
  readonly #counts = {
    rounds: 0,
    killedUnderLoad: 0,
    killedStarting: 0,
    stoppedStarting: 0,
    killedStopping: 0,
    leftOpen: 0,
    leftOpenAndLogged: 0,
  }
  /** How long a start takes, as measured: kills while starting fall into that time. */
  #startMs = 300

  constructor(log: LogFolder, seed: number) {
    this.#log = log
    this.#seed = seed
    this.#random = new Random(seed)
    this.#examiner = new Examiner(log, this.#ledger)
  }

  async round(number: number): Promise<void> {
    const server = await this.#restart()
    const url = prefix(await server.url)
    const load = new Load({
      url,
      ledger: this.#ledger,
      random: new Random(this.#seed + 1 + number),
      writers: 8,
      name: `round ${number}`,
    })
    await wait(this.#random.between(5, 500))
    if (this.#random.chance(0.25)) await this.#killStopping(server)
    else await this.#killUnderLoad(server)
    await load.done
    this.#counts.rounds++
  }

  /** The last restart; then everything is examined once more from the beginning, by somebody who knows nothing. */
  async finish(): Promise<KillReport> {
    const server = await this.#restart()
    const url = prefix(await server.url)
    await this.#examiner.examine(url)
    assert.equal(this.#examiner.twin.size, this.#ledger.submitted)
    const examiner = new Examiner(this.#log, this.#ledger)
    await examiner.examine(url)
    assert.deepEqual(await server.stop(), { code: 0, signal: null })
    return { ...this.#counts, between: this.#examiner.tally, atTheEnd: examiner.tally }
  }

  async #killUnderLoad(server: ServerProcess): Promise<void> {
    assert.equal((await server.kill()).signal, 'SIGKILL')
    this.#counts.killedUnderLoad++
  }

  /** Where the stop was faster than the kill, it must have been a good one. */
  async #killStopping(server: ServerProcess): Promise<void> {
    server.signal('SIGTERM')
    await wait(this.#random.between(0, 60))
    const { code, signal } = await server.kill()
    if (signal === 'SIGKILL') this.#counts.killedStopping++
    else assert.equal(code, 0)
  }

  /** Starts the server, at times only after it was killed while starting, and settles what the kill left open. */
  async #restart(): Promise<ServerProcess> {
    while (this.#random.chance(0.3)) await this.#killStarting()
    const startedMs = performance.now()
    const server = new ServerProcess(this.#log.folder)
    const url = prefix(await server.url)
    this.#startMs = performance.now() - startedMs
    await this.#examiner.examine(url)
    await this.#repeatUnacknowledged(url)
    return server
  }

  async #killStarting(): Promise<void> {
    const server = new ServerProcess(this.#log.folder)
    await wait(this.#random.between(1, Math.ceil(this.#startMs)))
    if (this.#random.chance(0.7)) {
      await server.kill()
      this.#counts.killedStarting++
    } else {
      // Told to stop while it opens its folder, it opens it and then stops; before that nobody listens to signals.
      const { code, signal } = await server.stop()
      assert.ok(signal === 'SIGTERM' || code === 0, `it ended with ${signal ?? code}`)
      this.#counts.stoppedStarting++
    }
  }

  /** Sending again what nobody answered gives each entry one index: the one it has, or a new one. */
  async #repeatUnacknowledged(url: string): Promise<void> {
    const { twin } = this.#examiner
    await eachOver(url, this.#ledger.unacknowledged, async (connection, entry) => {
      const submission = { route: 'v1/entries', entries: [entry] } as const
      assert.equal((await submit(connection, submission, this.#ledger)).status, 200)
      const receipt = this.#ledger.receipts.findLast((receipt) => receipt.entry === entry)!
      const logged = twin.indexOf(entry)
      assert.equal(receipt.duplicate, logged !== undefined)
      assert.equal(receipt.index, logged ?? receipt.index)
      this.#counts.leftOpen++
      if (logged !== undefined) this.#counts.leftOpenAndLogged++
    })
  }
}
