import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import type { CosignerKind } from '../../src/server/cosigner-folder.ts'
import type { Exit } from '../support/process.ts'

/** The command line as it is built: these tests run what users run. */
const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

/** A witness or a mirror in a process of its own, on a free port. Killed when the test has finished, if it still runs. */
export class CosignerProcess {
  /** Where it listens; rejects with what it said if it ends before that. */
  readonly url: Promise<string>
  readonly exited: Promise<Exit>
  readonly #child: ChildProcess
  readonly #lines: string[] = []

  constructor(folder: string, kind: CosignerKind = 'witness', flags: readonly string[] = []) {
    const many = ['--requests-per-second', '1000000', '--request-burst', '1000000']
    const args = [MAIN, kind, 'serve', '--data', folder, '--port', '0', ...many, ...flags]
    this.#child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] })
    this.exited = new Promise((resolve) => {
      this.#child.once('close', (code, signal) => resolve({ code, signal }))
    })
    this.url = this.#readUrl()
    // Whoever kills a witness while it starts does not ask where it would have listened.
    this.url.catch(() => {})
    onTestFinished(async () => void (await this.kill()))
  }

  /** What it wrote about itself so far. */
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

  #readUrl(): Promise<string> {
    return new Promise((resolve, reject) => {
      createInterface({ input: this.#child.stderr! }).on('line', (line) => {
        this.#lines.push(line)
        const url = /"url":"(http:[^"]+)"/.exec(line)?.[1]
        if (url !== undefined) resolve(url)
      })
      void this.exited.then(({ code, signal }) =>
        reject(new Error(`the process ended with ${code ?? signal} before it listened:\n${this.output}`)),
      )
    })
  }
}
