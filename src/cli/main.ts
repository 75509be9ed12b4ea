#!/usr/bin/env node
import { EXIT_PIPE } from './exit-codes.ts'
import { processIo } from './io.ts'
import { reportError } from './report.ts'
import { run } from './run.ts'

const io = processIo()

// Whoever read our output has gone away ("stele get 0.. | head"): nothing to say, but nothing was finished either.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? EXIT_PIPE : reportError(error, io))
})
process.on('uncaughtException', (error) => process.exit(reportError(error, io)))
process.on('unhandledRejection', (error) => process.exit(reportError(error, io)))

process.exitCode = await run(process.argv.slice(2), io)
