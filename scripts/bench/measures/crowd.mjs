// A normal client beside a crowd that is idle, reads slowly or pipelines: what it waits, and what the server weighs.
import { once } from 'node:events'
import { connect } from 'node:net'
import { EntrySource, Sample, Writers } from '../../../dist/load/index.js'
import { startStele } from '../lib/children.mjs'
import { loaded } from '../lib/load.mjs'
import { ENTRY_BYTES } from '../lib/payload.mjs'
import { memoryOf } from '../lib/proc.mjs'
import { row } from '../lib/rows.mjs'
import { encodeBundle } from '../lib/stele.mjs'

const CLIENTS = 1000
const RATE = 100
/** The crowd asks for a bundle of 15 MB, the largest thing that a stranger may ask for. */
const LARGE_ENTRY_BYTES = 60_000
const REQUEST = 'GET /logs/main/tile/entries/000 HTTP/1.1\r\nhost: localhost\r\n\r\n'
/** What each client of a crowd sends. None of them ever reads. */
const CROWDS = { idle: '', slow: REQUEST, pipelining: REQUEST.repeat(50) }

export const name = 'crowd'
export const title = 'a normal client beside a crowd'

export async function run({ sizes, space, progress }) {
  const server = await startStele(await space.dataFolder('main'))
  await fill(server)
  const normal = async () => {
    const exchange = (target) => new Writers(target, new EntrySource(ENTRY_BYTES), new Sample(16)).exchange(1)
    const { loneSeconds: seconds, warmup } = sizes
    const figures = await loaded({ server, connections: 4, rate: RATE, seconds, warmup, exchange })
    const rss = memoryOf(server.pid)?.rss
    // Who got no answer has waited all the time.
    if (figures.perSecond === 0) return { p50: seconds * 1000, p99: seconds * 1000, rss }
    return { ...figures, rss }
  }
  const rows = []
  for (const [crowd, text] of Object.entries(CROWDS)) {
    const [alone, beside] = [[], []]
    for (let i = 0; i < sizes.rounds; i++) {
      progress(`round ${i + 1} of ${sizes.rounds}, alone`)
      alone.push(await normal())
      progress(`round ${i + 1} of ${sizes.rounds}, beside ${CLIENTS} ${crowd} clients`)
      const sockets = await gather(server, text)
      beside.push(await normal())
      for (const socket of sockets) socket.destroy()
    }
    rows.push(...rowsOf(crowd, alone, beside))
  }
  await server.stop()
  return rows
}

/** Entries for the bundle that the crowd asks for. */
async function fill({ url }) {
  const entries = Array.from({ length: 256 }, (_, i) => Buffer.from(`${i} `.padEnd(LARGE_ENTRY_BYTES, 'x')))
  const headers = { 'content-type': 'application/vnd.c2sp.entry-bundle' }
  const body = encodeBundle(entries)
  const answer = await fetch(`${url}/logs/main/v1/batches?wait=published`, { method: 'POST', headers, body })
  if (!answer.ok) throw new Error(`filling the log: status ${answer.status}`)
}

/** Ten addresses, none of them that of the normal client. */
function gather({ url }, text) {
  const port = Number(new URL(url).port)
  return Promise.all(
    Array.from({ length: CLIENTS }, async (_, i) => {
      const socket = connect({ port, host: '127.0.0.1', localAddress: `127.0.0.${2 + (i % 10)}` })
      socket.on('error', () => {})
      await once(socket, 'connect')
      socket.write(text)
      return socket
    }),
  )
}

function rowsOf(crowd, alone, beside) {
  const figure = (what, unit, of) =>
    row({
      name: `crowd.${crowd}.${of}`,
      figure: `${what} beside ${CLIENTS} ${crowd} clients`,
      unit,
      ours: beside.map((each) => each[of]),
      baseline: alone.map((each) => each[of]),
      baselineIs: 'the same server without them',
    })
  const latencies = ['p50', 'p99'].map((of) => figure(`a lone POST at ${RATE}/s, ${of},`, 'ms', of))
  return beside[0].rss === undefined ? latencies : [...latencies, figure('RSS of the server', 'MB', 'rss')]
}
