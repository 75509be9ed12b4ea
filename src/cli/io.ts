import { writeSync } from 'node:fs'
import { type Readable, Writable } from 'node:stream'
import { isatty } from 'node:tty'

/** An output stream, possibly a terminal. */
export type Sink = Writable & {
  readonly isTTY?: boolean
  readonly columns?: number
  /** Number of lines that could not be written; see `StandardError`. */
  readonly linesLost?: number
}

/** The environment of the process. A test passes its own. */
export interface Io {
  /** Results only. */
  readonly stdout: Sink
  /** Messages, progress, warnings. */
  readonly stderr: Sink
  readonly stdin: Readable
  readonly env: Readonly<Record<string, string | undefined>>
  /** How the program was called, for command lines in messages. */
  readonly calledAs: string
  /** Registers a callback for SIGINT and SIGTERM. Returns the function that removes it. */
  onStopSignal(stop: () => void): () => void
  /** Registers a callback for SIGHUP, which otherwise ends the process. Returns the function that removes it. */
  onReloadSignal(reload: () => void): () => void
  /** Ends the process at once. */
  exit(code: number): never
  /** Ends the process as a crash would. Unlike `exit`, it does not wait for a thread that hangs in a system call. */
  crash(): void
}

export function processIo(): Io {
  return {
    stdout: process.stdout,
    stderr: standardError(),
    stdin: process.stdin,
    env: process.env,
    calledAs: calledAs(process.argv[1] ?? ''),
    onStopSignal(stop) {
      process.on('SIGINT', stop)
      process.on('SIGTERM', stop)
      return () => {
        process.off('SIGINT', stop)
        process.off('SIGTERM', stop)
      }
    },
    onReloadSignal(reload) {
      process.on('SIGHUP', reload)
      return () => void process.off('SIGHUP', reload)
    },
    exit: (code) => process.exit(code),
    crash: () => {
      process.kill(process.pid, 'SIGKILL')
      // The first process of a container ignores its own signals, but can still abort.
      process.abort()
    },
  }
}

/**
 * In a clone there is no `stele` on the path, but `npx` finds the one of the package. `--no-install` keeps npx from
 * downloading a package of that name elsewhere.
 */
function calledAs(script: string): string {
  return /[/\\](main\.(js|ts)|bin\.cjs)$/.test(script) ? 'npx --no-install stele' : 'stele'
}

/** The most bytes that are kept for a reader that has stopped reading. Further lines are lost. */
const MOST_WAITING_BYTES = 1024 * 1024
/** How often writing to such a reader is tried again, in milliseconds. */
const RETRY_MS = 50

/**
 * Standard error when it is not a terminal but a file, a pipe or a socket. It is a side channel, so its failures (a
 * full disk, a log collector that ended or hangs) never end or block the process. Each line is written before `write`
 * returns, so that a crash loses none. A line that cannot be written is lost and counted.
 *
 * Emits `recovered` with the number of lost lines and the last error code once writing works again.
 */
export class StandardError extends Writable {
  readonly #fd: number
  /** Bytes that the reader has not accepted yet, oldest first. */
  readonly #waiting: Buffer[] = []
  #waitingBytes = 0
  #timer: NodeJS.Timeout | undefined
  #lost = 0
  #reported = 0
  #lastCode = ''

  constructor(fd = 2) {
    super({ decodeStrings: true })
    this.#fd = fd
  }

  /** Number of lines lost since the process started. */
  get linesLost(): number {
    return this.#lost
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#take(chunk)
    done()
  }

  #take(chunk: Buffer): void {
    if (this.#waiting.length > 0) this.#wait(chunk)
    else this.#put(chunk)
  }

  /** Writes as much as there is room for. */
  #put(chunk: Buffer): void {
    let written = 0
    try {
      while (written < chunk.length) written += writeSync(this.#fd, chunk, written)
      this.#tellRecovered()
    } catch (error) {
      const { code = '' } = error as NodeJS.ErrnoException
      if (code === 'EAGAIN') this.#wait(chunk.subarray(written))
      else this.#lose(chunk, code)
    }
  }

  #wait(chunk: Buffer): void {
    if (this.#waitingBytes + chunk.length > MOST_WAITING_BYTES) return this.#lose(chunk, 'EAGAIN')
    this.#waiting.push(chunk)
    this.#waitingBytes += chunk.length
    this.#timer ??= setInterval(() => this.#retry(), RETRY_MS).unref()
  }

  #retry(): void {
    const chunks = this.#waiting.splice(0)
    this.#waitingBytes = 0
    // Bytes without room go back into the queue, in order.
    for (const chunk of chunks) this.#take(chunk)
    if (this.#waiting.length > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #lose(chunk: Buffer, code: string): void {
    this.#lost += chunk.filter((byte) => byte === LINE_FEED).length
    this.#lastCode = code
  }

  #tellRecovered(): void {
    const lost = this.#lost - this.#reported
    if (lost === 0) return
    this.#reported = this.#lost
    this.emit('recovered', lost, this.#lastCode)
  }
}

const LINE_FEED = 0x0a

/** The standard error of this process. For a terminal this is Node's own stream, which knows its width. */
export function standardError(): NodeJS.WriteStream | StandardError {
  // Node makes pipes and sockets non-blocking when it creates its own stream: a write that would block fails with
  // EAGAIN.
  const own = process.stderr
  if (isatty(2)) return own
  own.on('error', () => {})
  return new StandardError()
}
