import { cp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Level } from 'level'
import { describe, expect, test } from 'vitest'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import { createWitnessState, openWitnessState, type StatePaths } from '../../src/witness/level.ts'
import { originHash } from '../../src/witness/logs.ts'
import { HeadStore, memoryWitnessStore, type WitnessStore } from '../../src/witness/store.ts'
import { testFolder } from '../support/folder.ts'
import { FakeLog } from './fake-log.ts'
import { ED25519, ML_DSA } from './fixture.ts'
import { HASH, headOf, LOG, witnessStoreContract } from './store-contract.ts'

const own = [ED25519.verifier]
const places = new WeakMap<WitnessStore, StatePaths>()

function pathsIn(folder: string): StatePaths {
  return { database: join(folder, 'database'), headFile: join(folder, 'head') }
}

async function openIn(paths: StatePaths): Promise<WitnessStore> {
  const store = await openWitnessState(paths, own)
  places.set(store, paths)
  return store
}

async function fresh(): Promise<{ store: WitnessStore; paths: StatePaths }> {
  const paths = pathsIn(testFolder())
  await createWitnessState(paths)
  return { store: await openIn(paths), paths }
}

const keep = (store: WitnessStore, log: FakeLog, size: number): Promise<void> =>
  store.update(originHash(log.origin), async () => ({ next: await headOf(log, size), result: undefined }))

witnessStoreContract('memory', async () => memoryWitnessStore())
witnessStoreContract(
  'LevelDB',
  async () => (await fresh()).store,
  async (store) => {
    await store.close()
    return openIn(places.get(store)!)
  },
)

describe('opening the state of a witness', () => {
  const closed = async (size = 7): Promise<StatePaths> => {
    const { store, paths } = await fresh()
    await keep(store, LOG, size)
    await store.close()
    return paths
  }
  const edit = async (
    paths: StatePaths,
    change: (db: Level<Uint8Array, Uint8Array>) => Promise<void>,
  ): Promise<void> => {
    const db = new Level<Uint8Array, Uint8Array>(paths.database, {
      keyEncoding: 'view',
      valueEncoding: 'view',
    })
    await change(db)
    await db.close()
  }
  const keyOf = (hash: string): Uint8Array => Buffer.from(`68${hash}`, 'hex')

  test('a second process is refused', async () => {
    const { store, paths } = await fresh()
    await expect(openIn(paths)).rejects.toMatchObject({
      code: 'locked',
      message: expect.stringContaining('this witness') as string,
    })
    await store.close()
    await (await openIn(paths)).close()
  })

  test('a head that was changed is damage, whatever byte of it', async () => {
    const paths = await closed()
    const note = encodeUtf8((await headOf(LOG, 7)).note)
    for (const at of [0, 20, 40, note.length - 30]) {
      const changed = note.slice()
      changed[at] = changed[at]! ^ 1
      await edit(paths, (db) => db.put(keyOf(HASH), changed))
      await expect(openIn(paths)).rejects.toMatchObject({
        code: expect.stringMatching(/^(corrupt|wrong_key)$/) as string,
      })
    }
    await edit(paths, (db) => db.put(keyOf(HASH), note))
    await (await openIn(paths)).close()
  })

  test('a head under the key of another origin is damage', async () => {
    const paths = await closed()
    const note = encodeUtf8((await headOf(LOG, 7)).note)
    await edit(paths, (db) => db.put(keyOf(originHash('log.example/x')), note))
    await expect(openIn(paths)).rejects.toMatchObject({ code: 'corrupt' })
  })

  test('the state of another witness is refused, and that of one to which a key was added is not', async () => {
    const paths = await closed()
    await expect(openWitnessState(paths, [ML_DSA.verifier])).rejects.toMatchObject({ code: 'wrong_key' })
    const store = await openWitnessState(paths, [ML_DSA.verifier, ED25519.verifier])
    expect(store.get(HASH)?.checkpoint.size).toBe(7)
    await store.close()
  })

  test('a database that is none of a witness is refused', async () => {
    const paths = await closed()
    await edit(paths, (db) => db.clear())
    await expect(openIn(paths)).rejects.toMatchObject({ code: 'foreign_format' })
  })

  test('a database that went back to an earlier state is refused: what was signed since is forgotten', async () => {
    const { store, paths } = await fresh()
    await keep(store, LOG, 7)
    await store.close()
    const folder = testFolder()
    await cp(paths.database, join(folder, 'database'), { recursive: true })
    const later = await openIn(paths)
    await keep(later, LOG, 8)
    await later.close()
    const back = { database: join(folder, 'database'), headFile: paths.headFile }
    await expect(openIn(back)).rejects.toMatchObject({ code: 'rolled_back' })
    const right = await openIn(paths)
    expect(right.get(HASH)?.checkpoint.size).toBe(8)
    await right.close()
  })

  test('a lost or unreadable head file is refused, for nobody could tell then', async () => {
    const paths = await closed()
    const gone = { ...paths, headFile: `${paths.headFile}-gone` }
    await expect(openIn(gone)).rejects.toMatchObject({ code: 'head_missing' })
    await writeFile(gone.headFile, 'nonsense')
    await expect(openIn(gone)).rejects.toMatchObject({ code: 'foreign_format' })
    await (await openIn(paths)).close()
  })

  test('no database at all is not taken for one that never signed', async () => {
    await expect(openIn(pathsIn(testFolder()))).rejects.toMatchObject({ code: 'not_initialised' })
  })
})

test('after a write of unknown outcome nothing is signed any more, for no log', async () => {
  const other = new FakeLog('log.example/other', 3)
  let writes = 0
  const store = new HeadStore(new Map(), {
    async write() {
      if (++writes === 2) throw new Error('disk full')
    },
    async close() {},
  })
  await keep(store, LOG, 3)
  await expect(keep(store, LOG, 7)).rejects.toMatchObject({ code: 'outcome_unknown' })
  await expect(keep(store, other, 3)).rejects.toMatchObject({ code: 'log_halted' })
  expect(store.failure).toMatchObject({ code: 'outcome_unknown' })
  expect(store.get(HASH)?.checkpoint.size).toBe(3)
  expect(writes).toBe(2)
})

test('heads of many logs that come together share few batches', async () => {
  const { store, paths } = await fresh()
  const logs = Array.from({ length: 100 }, (_, i) => new FakeLog(`log.example/${i}`, 2))
  await Promise.all(logs.map((log) => keep(store, log, 2)))
  await store.close()
  const db = new Level<Uint8Array, Uint8Array>(paths.database, { keyEncoding: 'view', valueEncoding: 'view' })
  const batches = Buffer.from((await db.get(Uint8Array.of(0x6e))) ?? []).readBigUInt64BE()
  await db.close()
  expect(Number(batches)).toBeLessThan(50)
  const reopened = await openIn(paths)
  expect([...reopened.heads()]).toHaveLength(100)
  await reopened.close()
})
