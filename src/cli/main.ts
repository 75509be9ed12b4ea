// Registered before the other modules load, which takes time: for process 1 of a container these signals have no
// default action.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, endUnlessHandled)

/** Ends the process as the signal would, unless a handler stops it gracefully. */
function endUnlessHandled(signal: 'SIGINT' | 'SIGTERM', number: number): void {
  if (process.listenerCount(signal) > 1) return
  process.removeAllListeners(signal)
  process.kill(process.pid, signal)
  // Only process 1 of a container gets here: the kernel ignores the signal that it sends to itself.
  process.exit(128 + number)
}

const { EXIT_PIPE } = await import('./exit-codes.ts')
const { processIo } = await import('./io.ts')
const { reportError } = await import('./report.ts')
const { run } = await import('./run.ts')

const io = processIo()

// The reader of standard output closed it ("stele get 0.. | head"). There is nothing to report, but the output is
// incomplete.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? EXIT_PIPE : reportError(error, io))
})
process.on('uncaughtException', (error) => process.exit(reportError(error, io)))
process.on('unhandledRejection', (error) => process.exit(reportError(error, io)))

process.exitCode = await run(process.argv.slice(2), io)
