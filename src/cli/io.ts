import { writeSync } from 'node:fs'
import { type Readable, Writable } from 'node:stream'
import { isatty } from 'node:tty'

/** A stream to write to, which may be a terminal. */
export type Sink = Writable & {
  readonly isTTY?: boolean
  readonly columns?: number
  /** Lines that could not be written; see `StandardError`. */
  readonly linesLost?: number
}

/** What the process has around it; a test puts its own in its place. */
export interface Io {
  /** Data: what was asked for, and nothing else. */
  readonly stdout: Sink
  /** Everything else: messages, progress, warnings. */
  readonly stderr: Sink
  readonly stdin: Readable
  readonly env: Readonly<Record<string, string | undefined>>
  /** How the program was called, for commands that a reader is to type next. */
  readonly calledAs: string
  /** Calls back at each SIGINT or SIGTERM until the function that it gives is called. */
  onStopSignal(stop: () => void): () => void
  /** Calls back at each SIGHUP, which else ends the process, until the function that it gives is called. */
  onReloadSignal(reload: () => void): () => void
  /** Ends the process at once. */
  exit(code: number): never
  /** Ends it as a crash would: unlike `exit`, it does not wait for a thread that hangs in a system call. */
  crash(): void
}

/** The process itself. */
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
      // The first process of a container cannot be killed from within; it can still break.
      process.abort()
    },
  }
}

/**
 * From a clone there is no `stele` on the path; `npx` finds the one of the package that it stands in. Elsewhere it is not to
 * fetch a package of that name from a registry.
 */
function calledAs(script: string): string {
  return /[/\\](main\.(js|ts)|bin\.cjs)$/.test(script) ? 'npx --no-install stele' : 'stele'
}

/** Bytes that wait for a reader who has stopped reading; what comes beyond that is lost. */
const MOST_WAITING_BYTES = 1024 * 1024
/** How often a reader who has stopped is tried again, in milliseconds. */
const RETRY_MS = 50

/**
 * Standard error where it is no terminal: a file, a pipe, a socket. It is a side channel, so its failures (a full disk, a
 * collector that ended or that stopped reading) never end the process and never block it. Each line is written before
 * `write` returns, so that a crash loses none; a line that cannot be written is lost and counted.
 *
 * Emits `recovered` with the number of lost lines and the last error code once writing works again.
 */
export class StandardError extends Writable {
  readonly #fd: number
  /** What a reader who has stopped has not taken, oldest first. */
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

  /** Lines that were lost since the process started. */
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

  /** Writes what there is room for. */
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
    // What there is no room for goes back to the end of the queue, in order.
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

/** The standard error of this process. A terminal keeps Node's own stream, which knows its width. */
export function standardError(): NodeJS.WriteStream | StandardError {
  // Node makes pipes and sockets non-blocking when its own stream is made: a write that would block says EAGAIN.
  const own = process.stderr
  if (isatty(2)) return own
  own.on('error', () => {})
  return new StandardError()
}
