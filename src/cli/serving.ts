import type { Config } from '../server/config.ts'
import type { RunningServer } from '../server/start.ts'
import type { Context } from './context.ts'
import { EXIT_INTERRUPTED, EXIT_OK } from './exit-codes.ts'

/**
 * Serves until SIGINT or SIGTERM, then stops gracefully; a second signal ends the process at once.
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
    await server.close()
    return EXIT_OK
  } finally {
    stop.off()
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
