import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

/** The command line as it is built: these tests run what users run. */
const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

/** How a process ended: an exit code, or the signal that ended it. */
export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface ServeOptions {
  /** Flags of `stele serve`, such as `--queue-bytes=1000000`. */
  readonly flags?: readonly string[]
  /** Stands before `node` on the command line: a program that becomes node, or traces it, under the same pid. */
  readonly wrapper?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

/** A server in a process of its own, on a free port. Killed when the test has finished, if it still runs then. */
export class ServerProcess {
  readonly pid: number
  /** Where it listens; rejects with what it said if it ends before that. */
  readonly url: Promise<string>
  readonly exited: Promise<Exit>
  readonly #child: ChildProcess
  readonly #lines: string[] = []

  constructor(folder: string, { flags = [], wrapper = [], env = {} }: ServeOptions = {}) {
    const node = [process.execPath, MAIN, 'serve', '--data', folder, '--port', '0', '--open', ...flags]
    const [program, ...args] = [...wrapper, ...node]
    this.#child = spawn(program!, args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    this.pid = this.#child.pid ?? 0
    this.exited = new Promise((resolve) => {
      this.#child.once('close', (code, signal) => resolve({ code, signal }))
      this.#child.once('error', (error) => {
        this.#lines.push(error.message)
        resolve({ code: null, signal: null })
      })
    })
    this.url = this.#readUrl()
    // Whoever kills a server while it starts does not ask where it would have listened.
    this.url.catch(() => {})
    onTestFinished(async () => void (await this.kill()))
  }

  /** What it wrote about itself so far. */
  get output(): string {
    return this.#lines.join('\n')
  }

  /** Sends a signal, unless the process has ended. */
  signal(signal: NodeJS.Signals): void {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill(signal)
  }

  /** Ends it at once, as a crash would. */
  kill(): Promise<Exit> {
    this.signal('SIGKILL')
    return this.exited
  }

  /** Asks it to stop, and waits until it has. */
  stop(): Promise<Exit> {
    this.signal('SIGTERM')
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
        reject(new Error(`the server ended with ${code ?? signal} before it listened:\n${this.output}`)),
      )
    })
  }
}
