// The baseline of batches: LevelDB alone. The same keys and values of the same sizes as a log's commits have (entries,
// the tiles that become full, a signed head), one chained batch after the other, each synced. No tree, no signature, no
// head file, no index of leaf hashes.
import { randomBytes } from 'node:crypto'
import { Level } from 'level'
import { entries } from '../lib/payload.mjs'

/** @type {{ folder: string, entries: number, batch: number, kind: 'random' | 'audit', seed: string }} */
const task = JSON.parse(process.argv[2])

const KEY_BYTES = 9
const HEAD_BYTES = 400
const TILE_BYTES = 8192

const db = new Level(task.folder, { keyEncoding: 'view', valueEncoding: 'view' })
await db.open()
const entryOf = entries(task.kind, task.seed)
const noise = randomBytes(64 * TILE_BYTES)

const startedMs = performance.now()
for (let from = 0; from < task.entries; from += task.batch) {
  await commit(from, Math.min(task.entries, from + task.batch))
}
const seconds = (performance.now() - startedMs) / 1000
await db.close()
process.stdout.write(`${JSON.stringify({ perSecond: task.entries / seconds })}\n`)

async function commit(from, to) {
  const batch = db.batch()
  for (let index = from; index < to; index++) batch.put(keyOf(index, 1), entryOf(index))
  for (let level = 0, width = 256; width <= to; level++, width *= 256) {
    for (let tile = Math.floor(from / width); tile < Math.floor(to / width); tile++) {
      const at = (tile % 64) * TILE_BYTES
      batch.put(keyOf((tile + 1) * width - 1, 2 + level), noise.subarray(at, at + TILE_BYTES))
    }
  }
  batch.put(keyOf(to, 0), noise.subarray(0, HEAD_BYTES))
  await batch.write({ sync: true })
}

function keyOf(position, kind) {
  const key = Buffer.allocUnsafe(KEY_BYTES)
  key.writeUInt32BE(Math.floor(position / 2 ** 32), 0)
  key.writeUInt32BE(position % 2 ** 32, 4)
  key[8] = kind
  return key
}
