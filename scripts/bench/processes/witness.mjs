// Has a witness cosign growing logs without HTTP: `Witness.addCheckpoint` on a state on disk, every log one request after
// the other, all logs at once. Or writes what that writes, the same bytes and the same syncs, without a witness.
import { mkdir, open } from 'node:fs/promises'
import { join } from 'node:path'
import { Level } from 'level'
import {
  createWitnessState,
  EMPTY_ROOT,
  encodeUtf8,
  formatAddCheckpoint,
  formatCheckpoint,
  generateCosignerKey,
  generateSigningKey,
  KEY_TYPE,
  openWitnessState,
  signNote,
  Witness,
} from '../lib/stele.mjs'
import { SteadyTree } from '../lib/steady-tree.mjs'

/** @type {{ folder: string, logs: number, updates: number, postQuantum: boolean, what: 'witness' | 'raw' }} */
const task = JSON.parse(process.argv[2])
const SLOT_BYTES = 32 * 1024

await mkdir(task.folder, { recursive: true })
const result = await (task.what === 'witness' ? witnessed() : raw())
process.stdout.write(`${JSON.stringify(result)}\n`)

async function witnessed() {
  const types = [KEY_TYPE.ed25519Cosignature, ...(task.postQuantum ? [KEY_TYPE.mlDsa44Cosignature] : [])]
  const keys = types.map((type) => generateCosignerKey('witness.example/bench', type))
  const own = keys.map(({ verifier }) => verifier)
  const paths = { database: join(task.folder, 'database'), headFile: join(task.folder, 'head') }
  await createWitnessState(paths)
  const store = await openWitnessState(paths, own)
  const signers = Array.from({ length: task.logs }, (_, n) => generateSigningKey(`log.example/${n}`))
  const logs = signers.map((signer) => ({ origin: signer.name, keys: [signer.verifier] }))
  const evidence = { keep: () => Promise.reject(new Error('a contradiction')) }
  const events = { contradiction: (_, error) => fail(error) }
  const witness = new Witness({ logs, keys, store, evidence, nowMs: Date.now, events })
  const bodies = await requests(signers)
  const measured = await timed(task.logs * task.updates, () =>
    Promise.all(bodies.map((ofOne) => inTurn(ofOne, (body) => addCheckpoint(witness, body)))),
  )
  await store.close()
  return measured
}

async function addCheckpoint(witness, body) {
  const { kind } = await witness.addCheckpoint(body)
  if (kind !== 'cosigned') fail(new Error(`expected a cosignature, got ${kind}`))
}

/** Bodies of `add-checkpoint`, for each log those of its sizes from 1 on. All logs have the same leaves. */
async function requests(signers) {
  const tree = new SteadyTree(task.updates)
  const sizes = Array.from({ length: task.updates }, (_, i) => i + 1)
  const roots = [EMPTY_ROOT, ...sizes.map((size) => tree.root(size))]
  const proofs = sizes.map((size) => (size === 1 ? [] : tree.consistency(size - 1, size)))
  return Promise.all(
    signers.map((signer) =>
      Promise.all(
        sizes.map(async (size) => {
          const text = formatCheckpoint({ origin: signer.name, size, root: roots[size] })
          return encodeUtf8(formatAddCheckpoint(size - 1, proofs[size - 1], await signNote(text, [signer])))
        }),
      ),
    ),
  )
}

/** One synced batch and one synced slot after the other: what a cosignature has to wait for. Many logs share them. */
async function raw() {
  const db = new Level(join(task.folder, 'raw'), { keyEncoding: 'view', valueEncoding: 'view' })
  await db.open()
  const file = await open(join(task.folder, 'raw-head'), 'w')
  await file.write(Buffer.alloc(2 * SLOT_BYTES))
  await file.sync()
  const note = Buffer.alloc(task.postQuantum ? 3700 : 400, 7)
  const measured = await timed(task.logs * task.updates, async () => {
    for (let round = 0; round < task.updates; round++) {
      const batch = db.batch()
      for (let n = 0; n < task.logs; n++) batch.put(keyOf(n), note)
      batch.put(Buffer.from('n'), Buffer.alloc(8, round % 256))
      await batch.write({ sync: true })
      await file.write(Buffer.alloc(SLOT_BYTES), 0, SLOT_BYTES, (round % 2) * SLOT_BYTES)
      await file.datasync()
    }
  })
  await file.close()
  await db.close()
  return measured
}

function keyOf(n) {
  const key = Buffer.alloc(33)
  key.writeUInt32BE(n, 1)
  return key
}

async function inTurn(list, each) {
  for (const item of list) await each(item)
}

async function timed(count, work) {
  const [startedMs, cpu] = [performance.now(), process.cpuUsage()]
  await work()
  const seconds = (performance.now() - startedMs) / 1000
  const { user, system } = process.cpuUsage(cpu)
  return { perSecond: count / seconds, cpuMicros: (user + system) / count }
}

function fail(error) {
  process.stderr.write(`${error.message ?? error}\n`)
  process.exit(1)
}
