import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

/** The command line as it is built: these tests run what users run. */
export const MAIN = fileURLToPath(new URL('../../dist/cli/bin.cjs', import.meta.url))

/** How a process ended: an exit code, or the signal that ended it. */
export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface ProcessOptions {
  /** Stands before `node` on the command line: a program that becomes node, or traces it, under the same pid. */
  readonly wrapper?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Told of each line of its standard output, which else goes nowhere. */
  readonly onLine?: (line: string) => void
}

/** A command of `stele` in a process of its own. Killed when the test has finished, if it still runs then. */
export class SteleProcess {
  readonly pid: number
  readonly exited: Promise<Exit>
  readonly #child: ChildProcess
  readonly #lines: string[] = []
  readonly #listeners: ((line: string) => void)[] = []

  constructor(command: readonly string[], { wrapper = [], env = {}, onLine }: ProcessOptions = {}) {
    const [program, ...args] = [...wrapper, process.execPath, MAIN, ...command]
    this.#child = spawn(program!, args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', onLine ? 'pipe' : 'ignore', 'pipe'],
    })
    this.pid = this.#child.pid ?? 0
    this.exited = new Promise((resolve) => {
      this.#child.once('close', (code, signal) => resolve({ code, signal }))
      this.#child.once('error', (error) => {
        this.#lines.push(error.message)
        resolve({ code: null, signal: null })
      })
    })
    if (onLine) createInterface({ input: this.#child.stdout! }).on('line', onLine)
    createInterface({ input: this.#child.stderr! }).on('line', (line) => {
      this.#lines.push(line)
      for (const listener of this.#listeners) listener(line)
    })
    onTestFinished(async () => void (await this.kill()))
  }

  /** What it said on standard error so far. */
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

  /** What stands in the first line that says it; rejects with all that was said if the process ends before that. */
  protected said(words: RegExp): Promise<string> {
    const said = new Promise<string>((resolve, reject) => {
      this.#listeners.push((line) => {
        const found = words.exec(line)
        if (found) resolve(found[1] ?? '')
      })
      void this.exited.then(({ code, signal }) =>
        reject(new Error(`the process ended with ${code ?? signal} before it was ready:\n${this.output}`)),
      )
    })
    // Whoever kills it while it starts does not ask when it would have been ready.
    said.catch(() => {})
    return said
  }
}

/** A process that listens, on a free port. */
export class ListeningProcess extends SteleProcess {
  /** Where it listens; rejects with what it said if it ends before that. */
  readonly url = this.said(/"url":"(https?:[^"]+)"/)
}

export interface ServeOptions extends Omit<ProcessOptions, 'onLine'> {
  /** Flags of `stele serve`, such as `--queue-bytes=1000000`. */
  readonly flags?: readonly string[]
  /** Whether anybody may append without a key. Default true. */
  readonly open?: boolean
}

/** A log server. */
export class ServerProcess extends ListeningProcess {
  constructor(folder: string, { flags = [], open = true, ...options }: ServeOptions = {}) {
    super(['serve', '--data', folder, '--port', '0', ...(open ? ['--open'] : []), ...flags], options)
  }
}
