import { setFlagsFromString } from 'node:v8'
import { hasCode } from '../errors.ts'
import type { Config } from '../config/config.ts'
import type { ServerLog } from '../http/server-log.ts'
import type { RunningServer } from '../server/start.ts'
import type { Context } from './context.ts'
import { EXIT_INTERRUPTED, EXIT_OK } from './exit-codes.ts'

/** The options that all servers share. */
export type ServingOptions = Pick<Config, 'log-level' | 'stop-timeout-seconds'>

/**
 * Serves logs until SIGINT or SIGTERM; see {@link runUntilStopped}. SIGHUP reads the TLS certificate again, if there is
 * one.
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

/** A running server. */
interface Running {
  close(): Promise<void>
  /** Reads the TLS certificate again; absent without TLS. */
  readonly reloadTls?: (() => Promise<void>) | undefined
  /** Reads the list of logs again; absent without a list. */
  readonly reload?: (() => Promise<void>) | undefined
}

/**
 * Runs a log server, a witness or a mirror until SIGINT or SIGTERM, then stops it gracefully within
 * `stop-timeout-seconds`. A second signal ends the process at once. A signal during the start aborts the start.
 *
 * @param start its signal aborts it; it then throws `shutting_down`, or completes and is closed
 * @param onReady called when requests are accepted
 * @returns the exit code
 * @throws errors of `start`
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
  const logger = createServerLog(options['log-level'], io.stderr)
  let reload = (): void => logger.info('SIGHUP: there is nothing to read again')
  // From the beginning: without a listener SIGHUP would end the process.
  const offReload = io.onReloadSignal(() => reload())
  try {
    const starting = start(logger, stop.signal)
    const running = await Promise.race([starting, stop.received])
    if (running) {
      const again = running.reload ?? running.reloadTls
      if (again) reload = () => void again()
      await onReady(running)
      await stop.received
    }
    const closed = running ? running.close() : givenUp(starting)
    const limitMs = options['stop-timeout-seconds'] * 1000
    if (await settledWithin(closed, limitMs)) return EXIT_OK
    logger.error(
      { limitMs },
      'stopping took too long; the process ends now, and no acknowledged entry is lost',
    )
    // `exit` would wait for writing threads, one of which hangs. Storage is crash-safe, so the process aborts.
    io.crash()
    return EXIT_INTERRUPTED
  } finally {
    offReload()
    stop.off()
  }
}

/**
 * V8 learns from the first burst of requests that similar objects live long, and then allocates them in the old
 * generation, where only a full collection frees them and all that they refer to. A server's objects are short-lived:
 * with 256 writers, 58 MB per second went to the old generation that way, and collection took twice the time. With this
 * turned off, it is 2 MB.
 */
function stayYoung(): void {
  setFlagsFromString('--no-allocation-site-pretenuring')
}

/** True once the promise is settled; false after the time limit. @throws the rejection of the promise */
export async function settledWithin(promise: Promise<void>, limitMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<false>((resolve) => (timer = setTimeout(() => resolve(false), limitMs)))
  try {
    return await Promise.race([promise.then(() => true), late])
  } finally {
    clearTimeout(timer)
  }
}

/** Resolves once an aborted start has ended, and what it opened is closed. @throws other failures of the start */
async function givenUp(starting: Promise<Running>): Promise<void> {
  try {
    await (await starting).close()
  } catch (error) {
    if (!hasCode(error, 'shutting_down')) throw error
  }
}

/** Resolves at the first signal, which also aborts `signal`. Calls `again` at the second. */
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
