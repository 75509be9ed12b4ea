import { cpSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Level } from 'level'
import { describe, expect, test } from 'vitest'
import { checkLevelFiles } from '../../src/storage/level-files.ts'
import type { TableFault } from '../../src/storage/level-table.ts'
import { LevelTables } from '../../src/storage/level-tables.ts'
import { testFolder } from '../support/folder.ts'

interface ClassicLevel {
  compactRange(begin: Uint8Array, end: Uint8Array): Promise<void>
}
type Database = Level<Uint8Array, Uint8Array>
const BYTES = { keyEncoding: 'view', valueEncoding: 'view' } as const
const KEYS = 1500
const atOnce = async (): Promise<void> => {}

function keyOf(n: number): Buffer {
  const key = Buffer.alloc(9)
  key.writeUInt32BE(n, 4)
  key[8] = 1
  return key
}

/** Values that compress, and some that are larger than a block. */
const valueOf = (n: number): Buffer =>
  n % 500 === 7 ? Buffer.alloc(9_000, `${n} `) : Buffer.from(`value ${n} `.repeat(1 + (n % 9)))

/** Keys that are all in one table file. */
async function inTable(compression: boolean): Promise<{ folder: string; table: string }> {
  const folder = join(testFolder(), 'database')
  const db: Database = new Level(folder, { ...BYTES, compression })
  await db.open()
  for (let n = 0; n < KEYS; n += 100) {
    const batch = db.batch()
    for (let i = n; i < n + 100; i++) batch.put(keyOf(i), valueOf(i))
    await batch.write()
  }
  await db.close()
  const again: Database = new Level(folder, { ...BYTES, compression })
  await again.open()
  await again.close()
  const tables = readdirSync(folder).filter((name) => name.endsWith('.ldb'))
  expect(tables).toHaveLength(1)
  return { folder, table: join(folder, tables[0]!) }
}

const tablesOf = async (folder: string): Promise<LevelTables> =>
  new LevelTables(folder, await checkLevelFiles(folder))

/** Which keys are said to be damaged; all others are read through LevelDB, and must be right. */
async function damagedKeys(folder: string, tables: LevelTables): Promise<number[]> {
  const keys = Array.from({ length: KEYS }, (_, n) => keyOf(n))
  const faults = (await tables.check(keys)) ?? []
  const damaged = [...keys.keys()].filter((n) => faults[n] !== undefined)
  const copy = join(testFolder(), 'database')
  cpSync(folder, copy, { recursive: true })
  const db: Database = new Level(copy, BYTES)
  await db.open()
  const readable = [...keys.keys()].filter((n) => !faults[n])
  const values = await db.getMany(readable.map((n) => keys[n]!))
  expect(readable.filter((n, i) => !valueOf(n).equals(values[i] ?? Buffer.alloc(0)))).toEqual([])
  await db.close()
  return damaged
}

describe.each([true, false])('a table file of LevelDB, compressed: %s,', (compression) => {
  test('is good as it is, each key in its block', async () => {
    const { folder } = await inTable(compression)
    const tables = await tablesOf(folder)
    expect(await damagedKeys(folder, tables)).toEqual([])
    // Known by now: nothing is to be waited for.
    expect(tables.check([keyOf(0), keyOf(KEYS - 1), keyOf(KEYS + 5), Buffer.alloc(0)])).toBeUndefined()
    await tables.checkAll(atOnce)
    expect([tables.faults, tables.check([keyOf(17)])]).toEqual([[], undefined])
  })

  test('damaged anywhere is named there, and what is not said to be damaged is right', async () => {
    const { folder, table } = await inTable(compression)
    const good = readFileSync(table)
    const spoils: [string, number, (bytes: Buffer) => void][] = []
    for (let at = 3; at < good.length; at += Math.ceil(good.length / 10)) {
      spoils.push(['a bit', at, (bytes) => (bytes[at]! ^= 4)])
      spoils.push(['zeros', at, (bytes) => bytes.fill(0, at, Math.min(at + 4096, bytes.length))])
      spoils.push(['noise', at, (bytes) => noise(at).copy(bytes, at)])
    }
    for (let at = good.length - 48; at < good.length - 42; at += 2) {
      spoils.push(['footer', at, (bytes) => (bytes[at]! ^= 1)])
    }
    for (const [what, at, spoil] of spoils) {
      const bytes = Buffer.from(good)
      spoil(bytes)
      if (bytes.equals(good)) continue
      writeFileSync(table, bytes)
      const tables = await tablesOf(folder)
      const damaged = await damagedKeys(folder, tables)
      await tables.checkAll(atOnce)
      expect([what, at, tables.faults.length]).toEqual([what, at, expect.toSatisfy((n: number) => n > 0)])
      const first = bytes.findIndex((byte, i) => byte !== good[i])
      // One that leads to all blocks stands for whatever else is damaged.
      const names = (fault: TableFault): boolean =>
        fault.what !== 'data' || (fault.offset <= first && first < fault.offset + fault.bytes + 5)
      expect([what, at, tables.faults.some(names)]).toEqual([what, at, true])
      expect(damaged.length).toBeGreaterThan(0)
      // Known to be good, or known to be bad, and never asked of LevelDB.
      expect(await damagedKeys(folder, tables)).toEqual(damaged)
    }
  }, 120_000)

  test('that is cut short is named', async () => {
    const { folder, table } = await inTable(compression)
    truncateSync(table, statSync(table).size - 20)
    const tables = await tablesOf(folder)
    await tables.checkAll(atOnce)
    expect(tables.faults).toMatchObject([{ what: 'footer' }])
    expect(await damagedKeys(folder, tables)).toHaveLength(KEYS)
  })

  test.each(['data', 'index', 'filter', 'footer'] as const)(
    'with its damaged %s made into nothing is read by LevelDB, and has all the rest',
    async (what) => {
      const { folder, table } = await inTable(compression)
      const good = readFileSync(table)
      const metaindex = good.indexOf('filter.leveldb')
      const at = {
        data: 5_000,
        filter: metaindex - 40,
        index: metaindex + 200,
        footer: good.length - 5,
      }[what]
      const bytes = Buffer.from(good)
      bytes[at]! ^= 1
      writeFileSync(table, bytes)
      const tables = await tablesOf(folder)
      await tables.checkAll(atOnce)
      expect(tables.faults).toMatchObject([{ what }])
      const damaged = await damagedKeys(folder, tables)
      for (const file of tables.damaged) await file.clearFaults()
      expect(statSync(table).size).toBe(good.length)
      const after = await tablesOf(folder)
      await after.checkAll(atOnce)
      expect(after.faults).toEqual([])
      expect(await after.checkNewest()).toBeUndefined()
      const db: Database = new Level(folder, BYTES)
      await db.open()
      const lost: number[] = []
      for (let n = 0; n < KEYS; n++) {
        const value = await db.get(keyOf(n))
        if (value) expect(Buffer.from(value).equals(valueOf(n))).toBe(true)
        else lost.push(n)
      }
      // Without its filters nothing is missing.
      expect(lost).toEqual(what === 'filter' ? [] : damaged)
      const read: number[] = []
      for await (const [key] of db.iterator()) read.push(Buffer.from(key).readUInt32BE(4))
      expect(read).toHaveLength(KEYS - lost.length)
      await db.close()
    },
  )
})

test('a file that LevelDB has put others in the place of is no loss', async () => {
  const { folder, table } = await inTable(true)
  const tables = await tablesOf(folder)
  const db: Database = new Level(folder, BYTES)
  await db.open()
  await db.put(keyOf(5), valueOf(5))
  await (db as unknown as ClassicLevel).compactRange(keyOf(0), keyOf(KEYS))
  await db.close()
  expect(readdirSync(folder)).not.toContain(table.slice(folder.length + 1))
  expect(await damagedKeys(folder, tables)).toEqual([])
  for (const name of readdirSync(folder)) if (name.endsWith('.ldb')) rmSync(join(folder, name))
  const gone = await tables.checkAll(atOnce).catch((error: unknown) => error)
  expect(gone).toMatchObject({ code: 'corrupt', message: expect.stringContaining('.ldb') as string })
})

function noise(seed: number): Buffer {
  let state = seed + 1
  return Buffer.from(
    Array.from({ length: 512 }, () => (state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0) >>> 24),
  )
}
