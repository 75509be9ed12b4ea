#!/usr/bin/env node

/*
 * What "stele" starts: sizes Node's thread pool, and goes on with main.ts. Node reads UV_THREADPOOL_SIZE when the pool is used for the
 * first time, and Node 20 uses it to load an ES module. So this file is CommonJS, and reads files synchronously.
 */

const fs = process.getBuiltinModule('node:fs')
const path = process.getBuiltinModule('node:path')

/**
 * Threads that one log blocks at most while its disk hangs: 4 reads (`MAX_READS` of storage/level.ts), and one each for the commit, the
 * head file, the published head, look-ups in the leaf index and writes to it.
 */
const THREADS_OF_A_LOG = 9
/** For what belongs to no log: free room, the scrubbers, names of hosts, key files, compression. What Node has by default. */
const RESERVE = 4
/** libuv takes no more. */
const MOST_THREADS = 1024
/** A data folder that is about to be made gets a log and the meta log. */
const FEWEST_LOGS = 2

const args = process.argv.slice(2)
const { env } = process

if (env['UV_THREADPOOL_SIZE'] === undefined && args.some((arg) => arg === 'serve' || arg === 'start')) {
  const logs = Math.max(FEWEST_LOGS, logsIn(dataFolder()))
  env['UV_THREADPOOL_SIZE'] = String(Math.min(MOST_THREADS, THREADS_OF_A_LOG * logs + RESERVE))
}

// As Node has it for a main module that waits for ever; main.ts sets it when it has come to its end.
process.exitCode = 13
void import('./main.ts')

/** As the options are read: flag over variable over file. What is wrong with them is said later, by those who read them in full. */
function dataFolder(): string {
  return flag('data') ?? (env['STELE_DATA'] || undefined) ?? dataOfFile(flag('config')) ?? 'data'
}

function flag(name: string): string | undefined {
  const at = args.findLastIndex((arg) => arg === `--${name}` || arg.startsWith(`--${name}=`))
  if (at < 0) return undefined
  return args[at] === `--${name}` ? args[at + 1] : args[at]!.slice(`--${name}=`.length)
}

/** Its top-level line `data: <path>`. */
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
