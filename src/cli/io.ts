import type { Readable, Writable } from 'node:stream'
import { standardError } from './standard-error.ts'

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
