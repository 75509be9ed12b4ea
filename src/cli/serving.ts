import { setFlagsFromString } from 'node:v8'
import { hasCode } from '../errors.ts'
import type { Config } from '../config/config.ts'
import type { ServerLog } from '../http/server-log.ts'
import type { RunningServer } from '../server/start.ts'
import type { Context } from './context.ts'
import { EXIT_INTERRUPTED, EXIT_OK } from './exit-codes.ts'

/** What every server is told about its running, whatever it serves. */
export type ServingOptions = Pick<Config, 'log-level' | 'stop-timeout-seconds'>

/**
 * Serves logs until SIGINT or SIGTERM; see {@link runUntilStopped}. SIGHUP reads the TLS certificate again, where there is
 * one, and does nothing otherwise.
 *
 * @returns the exit code
 * @throws SteleError as `createServer`
 */
export async function serveUntilStopped(
  context: Context,
  config: Config,
  onReady: (server: RunningServer) => Promise<void>,
): Promise<number> {
  const start = async (logger: ServerLog, stopping: AbortSignal): Promise<RunningServer> => {
    const { createServer } = await import('../server/start.ts')
    return createServer(config, logger, stopping)
  }
  return runUntilStopped(context, config, start, onReady)
}

/** A server that runs. */
interface Running {
  close(): Promise<void>
  /** Reads the TLS certificate again; absent where there is none. */
  readonly reloadTls?: (() => Promise<void>) | undefined
  /** Reads the list of logs again, where there is one. */
  readonly reload?: (() => Promise<void>) | undefined
}

/**
 * Runs a log server, a witness or a mirror until SIGINT or SIGTERM, then stops it gracefully, within
 * `stop-timeout-seconds`; a second signal ends the process at once. A signal that comes before it listens ends the start.
 *
 * @param start told when it is to be given up: it then throws `shutting_down`, or goes on, and what it started is closed
 * @param onReady told when requests are answered
 * @returns the exit code
 * @throws whatever `start` throws
 */
export async function runUntilStopped<T extends Running>(
  { io }: Context,
  options: ServingOptions,
  start: (logger: ServerLog, stopping: AbortSignal) => Promise<T>,
  onReady: (running: T) => Promise<void>,
): Promise<number> {
  const { createServerLog } = await import('../http/server-log.ts')
  stayYoung()
  const stop = stopSignal(
    (listener) => io.onStopSignal(listener),
    () => io.exit(EXIT_INTERRUPTED),
  )
  let offReload = (): void => {}
  try {
    const logger = createServerLog(options['log-level'], io.stderr)
    const starting = start(logger, stop.signal)
    const running = await Promise.race([starting, stop.received])
    if (running) {
      const { reloadTls, reload = reloadTls } = running
      // Without a listener the signal would end the process.
      const ignored = (): void => logger.info('SIGHUP: there is nothing to read again')
      offReload = io.onReloadSignal(() => (reload ? void reload() : ignored()))
      await onReady(running)
      await stop.received
    }
    const closed = running ? running.close() : givenUp(starting)
    const limitMs = options['stop-timeout-seconds'] * 1000
    if (await settledWithin(closed, limitMs)) return EXIT_OK
    logger.error(
      { limitMs },
      'stopping took too long; the process ends here, and nothing acknowledged is lost',
    )
    // An exit would join the threads that write, and one of them is what hangs. A crash is what all of this is made for.
    io.crash()
    return EXIT_INTERRUPTED
  } finally {
    offReload()
    stop.off()
  }
}

/**
 * V8 learns from the first burst of requests that objects like theirs live long, and from then on makes them where only a
 * full collection finds them, with all they refer to. None of a server's do: with 256 writers 58 MB a second grew old that
 * way, and collecting took twice the time. Without what it learnt, 2 MB do.
 */
function stayYoung(): void {
  setFlagsFromString('--no-allocation-site-pretenuring')
}

/** True once the promise is settled; false if that takes longer. @throws what it rejects with */
export async function settledWithin(promise: Promise<void>, limitMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<false>((resolve) => (timer = setTimeout(() => resolve(false), limitMs)))
  try {
    return await Promise.race([promise.then(() => true), late])
  } finally {
    clearTimeout(timer)
  }
}

/** Resolves once a start that was told to end has ended, and what it opened is closed. @throws why else it failed */
async function givenUp(starting: Promise<Running>): Promise<void> {
  try {
    await (await starting).close()
  } catch (error) {
    if (!hasCode(error, 'shutting_down')) throw error
  }
}

/** Resolves at the first signal, with which `signal` is aborted, and calls `again` at the second. */
function stopSignal(
  onStopSignal: (stop: () => void) => () => void,
  again: () => void,
): { received: Promise<undefined>; signal: AbortSignal; off: () => void } {
  const stopping = new AbortController()
  const off = onStopSignal(() => (stopping.signal.aborted ? again() : stopping.abort()))
  const received = new Promise<undefined>((resolve) => {
    stopping.signal.addEventListener('abort', () => resolve(undefined))
  })
  return { received, signal: stopping.signal, off }
}
