import type { Logger } from 'pino'
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
  context: Context,
  config: Config,
  onReady: (server: RunningServer) => Promise<void>,
): Promise<number> {
  const start = async (logger: Logger): Promise<RunningServer> => {
    const { startServer } = await import('../server/start.ts')
    return startServer(config, logger)
  }
  return runUntilStopped(context, config['log-level'], start, onReady)
}

/**
 * The same for whatever can be started and closed: a log server, a witness, a mirror.
 *
 * @throws whatever `start` throws
 */
export async function runUntilStopped<T extends { close(): Promise<void> }>(
  { io }: Context,
  logLevel: string,
  start: (logger: Logger) => Promise<T>,
  onReady: (running: T) => Promise<void>,
): Promise<number> {
  const { pino, destination } = await import('pino')
  // Listened to before anything is opened: a signal that comes meanwhile must not cut an opening short.
  const stop = stopSignal(
    (listener) => io.onStopSignal(listener),
    () => io.exit(EXIT_INTERRUPTED),
  )
  try {
    const running = await start(pino({ level: logLevel }, destination({ fd: 2, sync: true })))
    await onReady(running)
    await stop.received
    await running.close()
    return EXIT_OK
  } finally {
    stop.off()
  }
}

/** The value that flags have for options, under the options' own names. */
export function flagsOf(
  { command }: Context,
  options: readonly { readonly name: string }[],
): Record<string, unknown> {
  const all = command.optsWithGlobals<Record<string, unknown>>()
  return Object.fromEntries(options.map(({ name }) => [name, all[camelCase(name)]]))
}

function camelCase(name: string): string {
  return name.replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase())
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
