import { spawn, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { onTestFinished } from 'vitest'

/** The system calls with which something gets onto the disk. */
const CALLS = [
  'write',
  'pwrite64',
  'writev',
  'pwritev',
  'fsync',
  'fdatasync',
  'rename',
  'openat',
  'ftruncate',
] as const
type Call = (typeof CALLS)[number]

/** One call on one file: the `number`th of its kind that a thread makes, counted from 1. */
export interface Point {
  readonly call: Call
  /** Below the data folder. */
  readonly path: string
  readonly number: number
}

/** What happens in place of that call. */
export type Effect = 'error=EIO' | 'error=ENOSPC' | 'signal=KILL'

export interface Fault extends Point {
  readonly effect: Effect
}

/** Why strace cannot be used here, or undefined if it can. */
export function whyNoStrace(): string | undefined {
  const inject = ['-f', '-o', '/dev/null', '-e', 'trace=close', '-e', 'inject=close:error=EIO:when=99']
  for (const args of [inject, ['-D', ...inject]]) {
    const { error, status, stderr } = spawnSync('strace', [...args, 'true'], { encoding: 'utf8' })
    if (error) return `strace cannot be started (${error.message}); Debian has it in the package "strace"`
    if (status !== 0) return `strace does not work here: ${stderr.trim()}`
  }
  return undefined
}

/**
 * Where all of one kind of calls are made by one thread: strace counts the calls of each thread on its own, and
 * LevelDB's own thread has files of its own.
 */
export const ONE_POOL_THREAD = { UV_THREADPOOL_SIZE: '1' }

/** What goes before a command to have it fail, or with no fault to have its calls written down. */
export function straceOf(folder: string, trace: string, fault?: Fault): string[] {
  // -D: the command keeps the pid, and strace runs beside it.
  return ['strace', '-D', ...optionsOf(folder, trace, fault)]
}

/**
 * Has a running process fail from now on.
 *
 * @returns once all its threads are traced; what it returns resolves when strace has written everything down
 */
export async function traceProcess(
  pid: number,
  folder: string,
  trace: string,
  fault?: Fault,
): Promise<{ ended: Promise<void> }> {
  const strace = spawn('strace', [...optionsOf(folder, trace, fault), '-p', String(pid)], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  onTestFinished(() => void strace.kill())
  const ended = new Promise<void>((resolve) => strace.once('close', () => resolve()))
  await new Promise<void>((resolve, reject) => {
    strace.stderr.on('data', (said: Buffer) => {
      if (String(said).includes('attached')) resolve()
      else reject(new Error(`strace: ${String(said)}`))
    })
    strace.once('error', reject)
  })
  return { ended }
}

function optionsOf(folder: string, trace: string, fault?: Fault): string[] {
  if (!fault) return ['-f', '-y', '-s', '0', '-o', trace, '-e', `trace=${CALLS.join()}`]
  const { call, path, number, effect } = fault
  const inject = `inject=${call}:${effect}:when=${number}`
  // With -P only calls on that file are traced, counted and spoiled: sockets and pipes are left alone.
  return ['-f', '-P', `${folder}/${path}`, '-o', trace, '-e', `trace=${call}`, '-e', inject]
}

/** True if the trace of a fault says that it happened. */
export function happened(trace: string): boolean {
  return /\(INJECTED\)|killed by SIGKILL/.test(readFileSync(trace, 'utf8'))
}

/** Every call on files of the folder that a trace without a fault holds and that could be spoiled, in order. */
export function pointsIn(trace: string, folder: string): Point[] {
  const counts = new Map<string, number>()
  const points = new Map<string, Point>()
  for (const line of readFileSync(trace, 'utf8').split('\n')) {
    const [, thread, call, args] = /^(\d+) +(\w+)\((.*)/.exec(line) ?? []
    const path = args === undefined ? undefined : pathIn(args, folder)
    if (path === undefined || !isCall(call)) continue
    const counter = [thread, call, path].join()
    const number = (counts.get(counter) ?? 0) + 1
    counts.set(counter, number)
    if (call === 'openat' && !/O_CREAT|O_RDWR/.test(args!)) continue
    points.set([call, path, number].join(), { call, path, number })
  }
  return [...points.values()]
}

/** The first file of the folder among the arguments: `18</folder/head>, ...` or `"/folder/LOG", "/folder/LOG.old"`. */
function pathIn(args: string, folder: string): string | undefined {
  const at = args.indexOf(`${folder}/`)
  if (at < 0) return undefined
  return /^[^">]*/.exec(args.slice(at + folder.length + 1))![0]
}

function isCall(name: string | undefined): name is Call {
  return CALLS.some((call) => call === name)
}
