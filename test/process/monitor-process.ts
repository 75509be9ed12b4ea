import { spawn, type ChildProcess } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import type { Finding } from '../../src/monitor/finding.ts'
import { parseState } from '../../src/monitor/state.ts'
import type { Exit } from '../support/process.ts'

/** The command line as it is built: these tests run what users run. */
const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

/** `stele monitor` in a process of its own. Killed when the test has finished, if it still runs then. */
export class MonitorProcess {
  readonly exited: Promise<Exit>
  /** Resolves once it has its state folder and follows; rejects with what it said if it ends before that. */
  readonly watching: Promise<void>
  readonly #child: ChildProcess
  readonly #lines: string[] = []
  readonly #findings: Finding[] = []

  constructor(args: readonly string[]) {
    this.#child = spawn(process.execPath, [MAIN, 'monitor', ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    this.exited = new Promise((resolve) => {
      this.#child.once('close', (code, signal) => resolve({ code, signal }))
    })
    createInterface({ input: this.#child.stdout! }).on('line', (line) => this.#onFinding(line))
    this.watching = new Promise((resolve, reject) => {
      createInterface({ input: this.#child.stderr! }).on('line', (line) => {
        this.#lines.push(line)
        if (line.startsWith('Watching ')) resolve()
      })
      void this.exited.then(({ code, signal }) =>
        reject(new Error(`the monitor ended with ${code ?? signal}:\n${this.output}`)),
      )
    })
    // Whoever kills a monitor while it starts does not ask when it would have watched.
    this.watching.catch(() => {})
    onTestFinished(async () => void (await this.kill()))
  }

  /** What it printed so far: whole lines only, for the last one may be cut short by a kill. */
  get findings(): readonly Finding[] {
    return this.#findings
  }

  /** What it said on standard error so far. */
  get output(): string {
    return this.#lines.join('\n')
  }

  /** Ends it at once, as a crash would. */
  kill(): Promise<Exit> {
    return this.#end('SIGKILL')
  }

  /** Asks it to stop, and waits until it has. */
  stop(): Promise<Exit> {
    return this.#end('SIGTERM')
  }

  #end(signal: NodeJS.Signals): Promise<Exit> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill(signal)
    return this.exited
  }

  #onFinding(line: string): void {
    try {
      this.#findings.push(JSON.parse(line) as Finding)
    } catch {
      // A line that the kill cut short: nobody downstream could read it either.
    }
  }
}

/** The first entry that was not dealt with, as the disk has it; 0 where nothing was saved yet. */
export function savedPosition(folder: string, origin: string): number {
  const file = filesOf(folder).find((name) => name.endsWith('.json'))
  return file === undefined ? 0 : parseState(readFileSync(join(folder, file), 'utf8'), origin).nextIndex
}

function filesOf(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
