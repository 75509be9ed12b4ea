import type { Config } from '../server/config.ts'
import type { RunningServer } from '../server/start.ts'
import type { Context } from './context.ts'
import { EXIT_INTERRUPTED, EXIT_OK } from './exit-codes.ts'

/**
 * Serves until SIGINT or SIGTERM, then stops gracefully, within `stop-timeout-seconds`; a second signal ends the process
 * at once.
 *
 * @param onReady told when requests are answered
 * @returns the exit code
 * @throws SteleError as `startServer`
 */
export async function serveUntilStopped(
  { io }: Context,
  config: Config,
  onReady: (server: RunningServer) => Promise<void>,
): Promise<number> {
  const [{ createServerLog }, { startServer }] = await Promise.all([
    import('../server/server-log.ts'),
    import('../server/start.ts'),
  ])
  // Listened to before anything is opened: a signal that comes meanwhile must not cut an opening short.
  const stop = stopSignal(
    (listener) => io.onStopSignal(listener),
    () => io.exit(EXIT_INTERRUPTED),
  )
  try {
    const logger = createServerLog(config['log-level'])
    const server = await startServer(config, logger)
    await onReady(server)
    await stop.received
    const limitMs = config['stop-timeout-seconds'] * 1000
    if (await settledWithin(server.close(), limitMs)) return EXIT_OK
    logger.error(
      { limitMs },
      'stopping took too long; the process ends here, and nothing acknowledged is lost',
    )
    // An exit would join the threads that write, and one of them is what hangs. A crash is what this log is made for.
    io.crash()
    return EXIT_INTERRUPTED
  } finally {
    stop.off()
  }
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

/** Resolves at the first signal and calls `again` at the second. */
function stopSignal(
  onStopSignal: (stop: () => void) => () => void,
  again: () => void,
): { received: Promise<void>; off: () => void } {
  let off = (): void => {}
  const received = new Promise<void>((resolve) => {
    let signals = 0
    off = onStopSignal(() => (++signals === 1 ? resolve() : again()))
  })
  return { received, off }
}
