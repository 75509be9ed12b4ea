#!/usr/bin/env node

/*
 * The entry point of "stele": sets the size of Node's thread pool, then loads main.ts. Node reads UV_THREADPOOL_SIZE when the pool is
 * first used, and Node 20 uses it to load an ES module. So this file is CommonJS, and reads files synchronously.
 */

const fs = process.getBuiltinModule('node:fs')
const path = process.getBuiltinModule('node:path')

/**
 * The most threads that one log blocks while its disk hangs: 4 reads (`MAX_READS` of storage/level.ts), and one each for the commit, the
 * head file, the published head, look-ups in the leaf index and writes to it.
 */
const THREADS_OF_A_LOG = 9
/** Threads for other work: free disk space, scrubbers, host names, key files, compression. Node's default pool size. */
const RESERVE = 4
/** The limit of libuv. */
const MOST_THREADS = 1024
/** A new data folder gets a log and the meta log. */
const FEWEST_LOGS = 2

const args = process.argv.slice(2)
const { env } = process

if (env['UV_THREADPOOL_SIZE'] === undefined && args.some((arg) => arg === 'serve' || arg === 'start')) {
  const logs = Math.max(FEWEST_LOGS, logsIn(dataFolder()))
  env['UV_THREADPOOL_SIZE'] = String(Math.min(MOST_THREADS, THREADS_OF_A_LOG * logs + RESERVE))
}

// Node's exit code for a main module that never completes; main.ts sets the final one.
process.exitCode = 13
void import('./main.ts')

/** Flag, variable or file, in the order of the option loader, which later reports mistakes in them. */
function dataFolder(): string {
  return flag('data') ?? (env['STELE_DATA'] || undefined) ?? dataOfFile(flag('config')) ?? 'data'
}

function flag(name: string): string | undefined {
  const at = args.findLastIndex((arg) => arg === `--${name}` || arg.startsWith(`--${name}=`))
  if (at < 0) return undefined
  return args[at] === `--${name}` ? args[at + 1] : args[at]!.slice(`--${name}=`.length)
}

/** The value of the top-level line `data: <path>` of a configuration file. */
function dataOfFile(file: string | undefined): string | undefined {
  if (file === undefined) return undefined
  try {
    const [, value] = /^data: *(.+?) *(?: #.*)?$/m.exec(fs.readFileSync(file, 'utf8')) ?? []
    return value?.replace(/^(["'])(.*)\1$/, '$2')
  } catch {
    return undefined
  }
}

function logsIn(folder: string): number {
  try {
    return fs.readdirSync(path.join(folder, 'logs')).filter((name) => !name.startsWith('.')).length
  } catch {
    return 0
  }
}
