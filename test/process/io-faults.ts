import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { effectsOf, FaultyDisk, type Fault, type Operation } from '../support/faulty-disk.ts'
import { Promises, type Scenario } from './io-scenarios.ts'

/** One scenario on one disk, over and over from the same files, each time with another operation that fails. */
export class IoFaults {
  readonly #scenario: Scenario
  readonly #disk: FaultyDisk
  readonly #root: string
  readonly #template: string
  /** What it does when nothing fails. */
  operations: readonly Operation[] = []

  private constructor(scenario: Scenario, disk: FaultyDisk, folder: string) {
    this.#scenario = scenario
    this.#disk = disk
    // Always the same path: some files name others.
    this.#root = join(folder, 'disk')
    this.#template = join(folder, `template ${scenario.name}`)
  }

  /** Runs it once without a fault. */
  static async prepare(scenario: Scenario, disk: FaultyDisk, folder: string): Promise<IoFaults> {
    const faults = new IoFaults(scenario, disk, folder)
    rmSync(faults.#root, { recursive: true, force: true })
    mkdirSync(faults.#root)
    await scenario.prepare(faults.#root)
    cpSync(faults.#root, faults.#template, { recursive: true })
    const failure = await faults.try()
    if (failure !== undefined) throw failure
    return faults
  }

  /** Each operation with each thing that can become of it. */
  all(): Fault[] {
    return this.operations.flatMap((operation, at) => effectsOf(operation).map((effect) => ({ at, effect })))
  }

  /** @returns what was not as it should be afterwards */
  async try(fault?: Fault): Promise<Error | undefined> {
    rmSync(this.#root, { recursive: true, force: true })
    cpSync(this.#template, this.#root, { recursive: true })
    this.#disk.pages.forget()
    const promises = new Promises()
    const scenario = (): Promise<void> => this.#scenario.run(this.#root, promises)
    const { end, error, operations } = await this.#disk.run(scenario, fault)
    if (fault === undefined) {
      this.operations = operations
      if (end !== 'done') return error instanceof Error ? error : new Error(`without a fault it was ${end}`)
    }
    try {
      if (end === 'endless') throw new Error('it came to no end')
      await this.#scenario.check(this.#root, promises, end, this.#disk)
      return undefined
    } catch (reason) {
      const operation = fault && operations[fault.at]
      const where = `${this.#scenario.name}: ${fault?.effect} at ${fault?.at}: ${operation?.call} ${operation?.path}`
      const said = error instanceof Error ? `; it said: ${error.message}` : ''
      return new Error(`${where} (${end}${said}): ${(reason as Error).message.replaceAll(/\s+/g, ' ')}`, {
        cause: reason,
      })
    }
  }
}

/** What came of many faults. */
export interface FaultTally {
  readonly operations: number
  /** Faults that there are. */
  readonly all: number
  readonly tried: number
  /** What was not as it should be. */
  readonly failures: readonly string[]
}

/** Runs a scenario with some of its faults, or all of them. */
export async function tryFaults(
  scenario: Scenario,
  choose: (all: readonly Fault[]) => readonly Fault[],
): Promise<FaultTally> {
  const folder = scratchFolder()
  const disk = new FaultyDisk(folder)
  onTestFinished(() => disk.remove())
  const faults = await IoFaults.prepare(scenario, disk, folder)
  const all = faults.all()
  const chosen = choose(all)
  const failures: string[] = []
  for (const fault of chosen) {
    const failure = await faults.try(fault)
    if (failure !== undefined) failures.push(failure.message)
  }
  return { operations: faults.operations.length, all: all.length, tried: chosen.length, failures }
}

/** In memory, where there is such a place: what is durable is kept count of by the disk, and no real one is needed. */
export function scratchFolder(): string {
  const memory = '/dev/shm'
  const folder = mkdtempSync(join(existsSync(memory) ? memory : tmpdir(), 'stele-test-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}
