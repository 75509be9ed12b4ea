// Loads a server over HTTP for a while, with the generator that `stele bench` has.
import { Load, parseTarget } from '../../../dist/load/index.js'
import { cpuSecondsOf } from './proc.mjs'
import { median } from './stats.mjs'

/**
 * @typedef {object} Loaded
 * @property {number} perSecond answers
 * @property {number} p50 milliseconds, like the next two
 * @property {number} p99
 * @property {number} max
 * @property {number | undefined} serverCores cores that the server kept busy
 * @property {number} generatorCores likewise this process
 */

/**
 * @param {{ server: import('./children.mjs').Running, log?: string, apiKey?: string, connections: number, rate?: number,
 *   seconds: number, warmup?: number, exchange: (target: object, connection: number) => object }} what
 * @returns {Promise<Loaded>}
 * @throws Error if anything came back that was not as it should be, refusals included
 */
export async function loaded({
  server,
  log = 'main',
  apiKey,
  connections,
  rate,
  seconds,
  warmup = 0.3,
  exchange,
}) {
  const target = parseTarget(`${server.url}/logs/${log}`, apiKey)
  const load = new Load({ target, connections, exchange: (n) => exchange(target, n), ratePerSecond: rate })
  load.start()
  await sleep(warmup)
  load.meter.reset()
  const before = { at: performance.now(), own: process.cpuUsage(), server: cpuSecondsOf(server.pid) }
  await sleep(seconds)
  const took = (performance.now() - before.at) / 1000
  const { answered, latency } = load.meter
  const own = process.cpuUsage(before.own)
  const serverSeconds = cpuSecondsOf(server.pid)
  const result = {
    perSecond: answered / took,
    p50: latency.quantileMs(0.5),
    p99: latency.quantileMs(0.99),
    max: latency.maxMs,
    serverCores: serverSeconds === undefined ? undefined : (serverSeconds - before.server) / took,
    generatorCores: (own.user + own.system) / 1e6 / took,
  }
  await load.stop()
  checkClean(load.meter)
  return result
}

function checkClean({ refused, failures }) {
  if (refused === 0 && failures.size === 0) return
  const reasons = [...failures].map(([reason, count]) => `${count} x ${reason}`)
  throw new Error(`load: ${[`${refused} refusals`, ...reasons].join(', ')}`)
}

/** The same requests to a server that answers something else: only the status is looked at. */
export function onlyStatus(exchange) {
  return {
    request: () => exchange.request(),
    check: ({ status }) => (status === 200 ? undefined : `status ${status}`),
  }
}

/**
 * What an answer costs the server, all its threads, and how busy both sides were: a generator near 1.00 was the limit.
 * Processor time hardly changes when others use the machine, so it can be compared when rates cannot.
 */
export function coresNote(rounds) {
  if (rounds[0].serverCores === undefined) return ''
  const micros = median(rounds.map(({ serverCores, perSecond }) => (serverCores / perSecond) * 1e6))
  const { serverCores, generatorCores } = rounds.at(-1)
  return `${micros.toFixed(micros < 100 ? 1 : 0)} µs of processor time each (server ${serverCores.toFixed(2)}, generator ${generatorCores.toFixed(2)} cores)`
}

export function sleep(seconds) {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000))
}
