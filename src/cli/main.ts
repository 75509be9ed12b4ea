// Before anything is loaded, which takes a while: the first process of a container has no default for these signals.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, endUnlessHandled)

/** Ends the process as the signal would, unless something stops gracefully. */
function endUnlessHandled(signal: 'SIGINT' | 'SIGTERM', number: number): void {
  if (process.listenerCount(signal) > 1) return
  process.removeAllListeners(signal)
  process.kill(process.pid, signal)
  // Reached by the first process of a container alone: the kernel ignores what it sends to itself.
  process.exit(128 + number)
}

const { EXIT_PIPE } = await import('./exit-codes.ts')
const { processIo } = await import('./io.ts')
const { reportError } = await import('./report.ts')
const { run } = await import('./run.ts')

const io = processIo()

// Whoever read our output has gone away ("stele get 0.. | head"): nothing to say, but nothing was finished either.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? EXIT_PIPE : reportError(error, io))
})
process.on('uncaughtException', (error) => process.exit(reportError(error, io)))
process.on('unhandledRejection', (error) => process.exit(reportError(error, io)))

process.exitCode = await run(process.argv.slice(2), io)
