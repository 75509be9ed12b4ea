import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { vi } from 'vitest'
import { EXIT_CODES } from '../../src/cli/exit-codes.ts'
import { loadConfig } from '../../src/config/config.ts'
import { createServer } from '../../src/server/start.ts'
import { ServerProcess, type Exit } from '../support/process.ts'
import { Connection } from './connection.ts'
import { Examiner } from './examiner.ts'
import { Ledger } from './ledger.ts'
import { makeLogFolder, prefix, type LogFolder } from './log-folder.ts'
import { submit, type Outcome, type Submission } from './submission.ts'
import {
  happened,
  ONE_POOL_THREAD,
  pointsIn,
  straceOf,
  traceProcess,
  type Fault,
  type Point,
} from './syscalls.ts'

/** When a fault happens: while the server opens its folder, or while it appends, stops included. */
export type Phase = 'opening' | 'running'

const one = (entry: string): Submission => ({ route: 'v1/entries', entries: [entry] })
const many = (name: string, count: number, length: number): string[] =>
  Array.from({ length: count }, (_, i) => `${name} ${i} `.padEnd(length, '.'))

/** A short append run. Its large batch fills LevelDB's write buffer, so that the next commit begins new files. */
const RUN: readonly Submission[] = [
  one('first'),
  { route: 'bundle', entries: many('bundle', 3, 20) },
  one('first'),
  { route: 'bundle', entries: many('large', 70, 65_000) },
  one('behind the large ones'),
  { route: 'v1/entries?proof=true', entries: ['with proof'] },
  { route: 'ndjson', entries: many('line', 5, 20) },
  one('last but one'),
  one('last'),
]

/** What became of one fault. */
export interface FaultReport {
  readonly phase: Phase
  readonly fault: Fault
  /** False if the server never made that call. */
  readonly happened: boolean
  /** How the server took it: `refused` is not to open the folder, `halted` to take no more entries. */
  readonly end: 'went on' | 'halted' | 'refused' | 'killed'
  /** Entries that were acknowledged before, in spite of, or after the fault. */
  readonly acknowledged: number
  /** The log took entries again by itself. */
  readonly healed: boolean
}

/** Spoils system calls of a server, each time in a fresh copy of the same data folder, and examines what is left. */
export class FaultRun {
  readonly #scratch: string
  readonly #template: LogFolder
  readonly #before: readonly string[]

  private constructor(scratch: string, template: LogFolder, before: readonly string[]) {
    this.#scratch = scratch
    this.#template = template
    this.#before = before
  }

  /** @param scratch a folder to work in */
  static async prepare(scratch: string): Promise<FaultRun> {
    const template = await makeLogFolder(scratch)
    // More than a tile of entries, all of them only in the write-ahead log: opening makes a table file of them.
    const before = many('before', 300, 40)
    const server = new ServerProcess(template.folder)
    const connection = new Connection(prefix(await server.url))
    const batch = { route: 'bundle', entries: before } as const
    assert.equal((await submit(connection, batch, new Ledger())).status, 200)
    connection.close()
    await server.stop()
    return new FaultRun(scratch, template, before)
  }

  /** The calls that a server makes on its folder in this phase. */
  async points(phase: Phase): Promise<Point[]> {
    const { folder, trace } = this.#copy()
    const server = await this.#start(phase, folder, trace)
    if (phase === 'opening') {
      await server.process.url
      await server.process.kill()
    } else {
      await append(prefix(await server.process.url), new Ledger())
      await server.process.stop()
    }
    await server.traced
    return pointsIn(trace, folder)
  }

  /**
   * One fault, and everything that must be true after it.
   *
   * @param options.heal wait until a log that halted takes entries again by itself
   */
  async spoil(phase: Phase, fault: Fault, { heal = false } = {}): Promise<FaultReport> {
    const { root, folder, trace } = this.#copy()
    const ledger = this.#ledger()
    const server = await this.#start(phase, folder, trace, fault)
    const url = await server.process.url.catch(() => undefined)
    const outcomes = url === undefined ? [] : await append(prefix(url), ledger)
    const healed = heal && url !== undefined && outcomes.some(halts)
    if (healed) await waitUntilHealed(url, ledger)
    const exit = await server.process.stop()
    await server.traced
    const end = endOf(exit, outcomes)
    checkExit(exit, end, server.process.output)
    const acknowledged = ledger.submitted - ledger.unacknowledged.length - this.#before.length
    await this.#examine(folder, ledger)
    const report = { phase, fault, happened: happened(trace), end, acknowledged, healed }
    rmSync(root, { recursive: true })
    return report
  }

  async #start(
    phase: Phase,
    folder: string,
    trace: string,
    fault?: Fault,
  ): Promise<{ process: ServerProcess; traced: Promise<void> }> {
    const env = ONE_POOL_THREAD
    if (phase === 'opening') {
      // Ends together with the process, for it holds the same standard error.
      const wrapper = straceOf(folder, trace, fault)
      return { process: new ServerProcess(folder, { wrapper, env }), traced: Promise.resolve() }
    }
    const process = new ServerProcess(folder, { env })
    await process.url
    const { ended } = await traceProcess(process.pid, folder, trace, fault)
    return { process, traced: ended }
  }

  /** Opens what is left as any server would, and then gives every entry its index. */
  async #examine(folder: string, ledger: Ledger): Promise<void> {
    const config = loadConfig({ flags: { data: folder, port: 0, open: true } })
    const server = await createServer(config, pino({ level: 'silent' }))
    try {
      const url = prefix(server.url)
      const examiner = new Examiner(this.#template, ledger)
      await examiner.examine(url)
      const connection = new Connection(url)
      for (const submission of RUN) {
        assert.equal((await submit(connection, submission, ledger)).status, 200)
      }
      connection.close()
      await examiner.examine(url)
      assert.equal(examiner.twin.size, ledger.submitted)
    } finally {
      await server.close()
    }
  }

  #copy(): { root: string; folder: string; trace: string } {
    const root = mkdtempSync(join(this.#scratch, 'fault-'))
    const folder = join(root, 'data')
    cpSync(this.#template.folder, folder, { recursive: true, preserveTimestamps: true })
    return { root, folder, trace: join(root, 'trace') }
  }

  /** A ledger with what the template holds. */
  #ledger(): Ledger {
    const ledger = new Ledger()
    this.#before.forEach((entry, index) => {
      ledger.submit(entry)
      ledger.acknowledge({ entry, index, duplicate: false })
    })
    return ledger
  }
}

/** Codes with which a server says that it cannot open its folder, and why. */
const REFUSED_TO_OPEN = [EXIT_CODES.io_error, EXIT_CODES.corrupt, EXIT_CODES.not_initialised]

/** A server that was not killed stops when it is told to, unless it said that it cannot open its folder. */
function checkExit({ code }: Exit, end: FaultReport['end'], output: string): void {
  if (end === 'killed') return
  const expected: readonly (number | null)[] = end === 'refused' ? REFUSED_TO_OPEN : [0]
  assert.ok(expected.includes(code), `it ended with ${code}: ${output}`)
}

function endOf(exit: Exit, outcomes: readonly Outcome[]): FaultReport['end'] {
  if (exit.signal !== null) return 'killed'
  if (outcomes.length === 0) return 'refused'
  return outcomes.some(halts) ? 'halted' : 'went on'
}

/** True for the answer of a log whose write failed, or that has stopped because of one. */
function halts({ code = '' }: Outcome): boolean {
  return ['outcome_unknown', 'log_halted', 'io_error'].includes(code)
}

async function append(url: string, ledger: Ledger): Promise<Outcome[]> {
  const connection = new Connection(url)
  const outcomes: Outcome[] = []
  for (const submission of RUN) outcomes.push(await submit(connection, submission, ledger))
  connection.close()
  return outcomes
}

/** It happened once: the server finds the folder in order, says so, and takes what it refused before. */
async function waitUntilHealed(url: string, ledger: Ledger): Promise<void> {
  const connection = new Connection(url)
  await vi.waitUntil(async () => (await connection.ask('/readyz')).status === 200, { timeout: 20_000 })
  connection.close()
  for (const { status } of await append(prefix(url), ledger)) assert.equal(status, 200)
}
