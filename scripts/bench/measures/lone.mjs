// A lone entry now and then: how long its sender waits for the disk and the signature.
import { EntrySource, Sample, Writers } from '../../../dist/load/index.js'
import { startKoa, startStele } from '../lib/children.mjs'
import { loaded, onlyStatus } from '../lib/load.mjs'
import { ENTRY_BYTES } from '../lib/payload.mjs'
import { row } from '../lib/rows.mjs'

const RATE = 100

export const name = 'lone'
export const title = 'a lone entry'

export async function run({ sizes, space, progress }) {
  const koa = await startKoa(await space.emptyFolder())
  const stele = await startStele(await space.dataFolder('main'))
  const writer = (target) => new Writers(target, new EntrySource(ENTRY_BYTES), new Sample(16)).exchange(1)
  // The Koa server syncs each body to a file: what "it is on disk" costs without a log around it.
  const durable = (target) => onlyStatus(toPath(writer(target), 'v1/entries', 'v1/durable'))
  const round = (server, exchange) =>
    loaded({ server, connections: 4, rate: RATE, seconds: sizes.loneSeconds, warmup: sizes.warmup, exchange })
  const [base, ours] = [[], []]
  for (let i = 0; i < sizes.rounds; i++) {
    progress(`round ${i + 1} of ${sizes.rounds}, Koa and fdatasync`)
    base.push(await round(koa, durable))
    progress(`round ${i + 1} of ${sizes.rounds}, Stele`)
    ours.push(await round(stele, writer))
  }
  await koa.stop()
  await stele.stop()
  const rowOf = (quantile, atMost) =>
    row({
      name: `lone.${quantile}`,
      figure: `a lone POST at ${RATE}/s, ${quantile}`,
      unit: 'ms',
      ours: ours.map((each) => each[quantile]),
      baseline: base.map((each) => each[quantile]),
      baselineIs: 'Koa + fdatasync',
      goals: [{ of: 'ours', atMost }],
      note:
        quantile === 'p99' ? `longest of all ${Math.max(...ours.map((each) => each.max)).toFixed(1)} ms` : '',
    })
  return [rowOf('p50', 3), rowOf('p99', 15)]
}

/** The same request to another path of the same length or shorter: the head is rewritten, the body stays. */
function toPath(exchange, from, to) {
  return {
    check: exchange.check,
    request() {
      const request = exchange.request()
      const head = Buffer.from(request.buffer, request.byteOffset, request.length)
      const at = head.indexOf(from)
      // Both are of ten letters, and the buffer is the exchange's own.
      if (at >= 0) head.write(to, at, 'latin1')
      return request
    },
  }
}
