// Inclusion proofs over HTTP: how many, and whether a large tree makes them dearer.
import { ProofReader, Sample } from '../../../dist/load/index.js'
import { openLogClient, leafHash, toHex } from '../lib/stele.mjs'
import { startKoa, startStele } from '../lib/children.mjs'
import { coresNote, loaded } from '../lib/load.mjs'
import { entries } from '../lib/payload.mjs'
import { getter } from '../lib/get.mjs'
import { row } from '../lib/rows.mjs'

const CONNECTIONS = 64
/** One answer in so many is verified down to the root; of the others the beginning is looked at. */
const VERIFY_EVERY = 64

export const name = 'proofs'
export const title = 'inclusion proofs'

export async function run(context) {
  const { sizes, kind, space, progress } = context
  const koa = await startKoa(await space.emptyFolder())
  const logSizes = [sizes.smallLog, sizes.largeLog, ...(kind === 'long' ? [sizes.sustained] : [])]
  const servers = []
  for (const size of logSizes) {
    progress(`making a log of ${size}`)
    servers.push({ size, ...(await serverOf(context, size)) })
  }
  const found = new Map()
  const note = (key, value) => found.set(key, [...(found.get(key) ?? []), value])
  const round = (server, exchange, warmup) =>
    loaded({ server, connections: CONNECTIONS, seconds: sizes.seconds, warmup, exchange })
  for (let i = 0; i < sizes.rounds; i++) {
    const warmup = i === 0 ? 2 * sizes.warmup : sizes.warmup
    progress(`round ${i + 1} of ${sizes.rounds}, bare Koa`)
    note('koa', await round(koa, (target) => getter(target, ['json']), warmup))
    for (const { size, server, head } of servers) {
      for (const by of ['index', 'hash']) {
        progress(`round ${i + 1} of ${sizes.rounds}, by ${by} of ${size}`)
        note(`${by}.${size}`, await round(server, (target) => reader(target, head, by, size), warmup))
      }
    }
  }
  await koa.stop()
  for (const { server } of servers) await server.stop()
  return ['index', 'hash'].flatMap((by) => rowsOf(by, logSizes, found))
}

function rowsOf(by, [small, ...large], found) {
  const rate = (key) => found.get(key).map((each) => each.perSecond)
  const cost = (key) => rate(key).map((perSecond) => 1e6 / perSecond)
  return large.flatMap((size) => {
    const key = `${by}.${size}`
    const at = size.toLocaleString('en')
    return [
      row({
        name: `proofs.${by}.${size}`,
        figure: `inclusion proofs by ${by}, ${at} leaves`,
        unit: '/s',
        ours: rate(key),
        baseline: rate('koa'),
        baselineIs: 'bare Koa',
        goals: [{ of: 'ours', atLeast: 8000 }],
        note: `p99 ${found.get(key).at(-1).p99.toFixed(1)} ms; ${coresNote(found.get(key))}`,
      }),
      row({
        name: `proofs.${by}.${size}.cost`,
        figure: `time of one, against ${small.toLocaleString('en')} leaves`,
        unit: 'µs',
        ours: cost(key),
        baseline: cost(`${by}.${small}`),
        baselineIs: `at ${small.toLocaleString('en')}`,
        goals: [{ of: 'ratio', atMost: 1.3 }],
        note: `${coresNote(found.get(key))}; at ${small.toLocaleString('en')} ${coresNote(found.get(`${by}.${small}`))}`,
      }),
    ]
  })
}

async function serverOf({ space, progress }, size) {
  const data = await space.logOf(size, (text) => progress(`making a log, ${text}`))
  const server = await startStele(data)
  const [log] = (await (await fetch(`${server.url}/v1/logs`)).json()).logs
  const client = openLogClient({ url: `${server.url}/logs/main`, verifierKey: log.verifierKey })
  return { server, head: await client.checkpoint() }
}

/** Asks at random, and verifies some of the answers. */
function reader(target, head, by, size) {
  const entryOf = entries('random', 'log')
  const leafHashes = listOf(size, (index) => toHex(leafHash(entryOf(index))))
  const options = {
    target,
    head: () => head,
    sample: new Sample(1),
    ...(by === 'hash' ? { leafHashes } : {}),
  }
  const inner = new ProofReader(options)
  let count = 0
  return {
    request: () => inner.request(),
    check(answer) {
      if (count++ % VERIFY_EVERY === 0) return inner.check(answer)
      return answer.status === 200 && answer.body.includes('"path":[') ? undefined : `status ${answer.status}`
    },
  }
}

/** A list whose members are computed when they are read. */
function listOf(length, of) {
  return new Proxy([], { get: (_, key) => (key === 'length' ? length : of(Number(key))) })
}
