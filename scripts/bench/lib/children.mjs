// Starts and stops the processes that are measured.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { execPath } from 'node:process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const processFile = (name) => fileURLToPath(new URL(`../processes/${name}.mjs`, import.meta.url))
const STELE = fileURLToPath(new URL('../../../dist/cli/bin.cjs', import.meta.url))

/**
 * A server that is running.
 *
 * @typedef {object} Running
 * @property {string} url
 * @property {number} pid
 * @property {() => Promise<void>} ended resolves when it has ended
 * @property {() => Promise<void>} stop asks it to end, and waits
 * @property {() => Promise<void>} kill ends it as a power cut would
 */

/** The bare Koa server that our routes are compared with. @returns {Promise<Running>} */
export function startKoa(folder) {
  return serverOf(execPath, [processFile('koa'), folder])
}

/**
 * The real server, as `stele serve` starts it, on a free port.
 *
 * @param {string} data
 * @param {{ wrap?: string[], flags?: string[], nodeFlags?: string[] }} [how] wrap: a command that runs it;
 *   flags: `--open` unless others are given: no keys, and nothing traced
 * @returns {Promise<Running>}
 */
export function startStele(data, { wrap = [], flags = ['--open'], nodeFlags = extraNodeFlags() } = {}) {
  const serve = ['serve', '--data', data, '--port', '0', '--json', '--log-level', 'warn', ...flags]
  const [command, ...args] = [...wrap, execPath, ...nodeFlags, STELE, ...serve]
  return serverOf(command, args)
}

/** For profiles: STELE_BENCH_NODE_FLAGS="--cpu-prof --cpu-prof-dir=/tmp/prof" goes to every server and worker. */
function extraNodeFlags() {
  return process.env['STELE_BENCH_NODE_FLAGS']?.split(' ') ?? []
}

/** Servers say where they listen in a line of JSON. */
async function serverOf(command, args) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  // A measurement that fails must not leave its servers behind: they hold our standard error, and whoever waits for it.
  process.once('exit', () => child.kill('SIGKILL'))
  const exited = once(child, 'exit')
  const line = await Promise.race([once(createInterface(child.stdout), 'line'), exited.then(() => undefined)])
  if (line === undefined) throw new Error(`${args.join(' ')}: ended before it listened`)
  child.stdout.resume()
  const end = async (signal) => {
    child.kill(signal)
    await exited
  }
  return {
    url: JSON.parse(line[0]).url,
    pid: child.pid,
    ended: async () => void (await exited),
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
  }
}

/**
 * Runs one of `processes/` to its end: a process of its own for each round, so that no round inherits another's heap.
 *
 * @param {string} name
 * @param {object} task what it is told
 * @param {(text: string) => void} [onProgress]
 * @returns {Promise<any>} what it says at its end
 */
export async function runProcess(name, task, onProgress = () => {}) {
  const args = [...extraNodeFlags(), processFile(name), JSON.stringify(task)]
  const child = spawn(execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  let result
  for await (const line of createInterface(child.stdout)) {
    const said = JSON.parse(line)
    if (said.progress !== undefined) onProgress(said.progress)
    else result = said
  }
  const [code] = await exited
  if (code !== 0 || result === undefined) throw new Error(`${name}: ended with code ${code} and no result`)
  return result
}
