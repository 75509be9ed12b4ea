import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Level } from 'level'
import { invariant } from '../errors.ts'
import { logFiles } from '../instance/data-folder.ts'
import { LOG } from './history.ts'

type Database = Level<Uint8Array, Uint8Array>

// The key layout of proto-docs/storage.md, written down a second time: an intruder has no use for our classes.
const HEAD = 0
const ENTRY = 1

/** A key of the log's database: a position and a kind. */
function keyOf(position: number, kind: number): Uint8Array {
  const key = Buffer.alloc(9)
  key.writeBigUInt64BE(BigInt(position))
  key[8] = kind
  return key
}

/** Opens the database of a log that is not being served with LevelDB alone, and does something to it. */
async function tamper(data: string, task: (db: Database) => Promise<void>): Promise<void> {
  const db: Database = new Level(logFiles(data, LOG).database, { keyEncoding: 'view', valueEncoding: 'view' })
  await db.open()
  try {
    await task(db)
  } finally {
    await db.close()
  }
}

/** Overwrites one entry. */
export function overwriteEntry(data: string, index: number, entry: Uint8Array): Promise<void> {
  return tamper(data, (db) => db.put(keyOf(index, ENTRY), entry))
}

/** Removes one entry. */
export function removeEntry(data: string, index: number): Promise<void> {
  return tamper(data, (db) => db.del(keyOf(index, ENTRY)))
}

/** Lets two entries change places. */
export function swapEntries(data: string, a: number, b: number): Promise<void> {
  return tamper(data, async (db) => {
    const [first, second] = await db.getMany([keyOf(a, ENTRY), keyOf(b, ENTRY)])
    await db.batch([
      { type: 'put', key: keyOf(a, ENTRY), value: second! },
      { type: 'put', key: keyOf(b, ENTRY), value: first! },
    ])
  })
}

/** Flips one bit in the first half of what LevelDB will replay when it opens the database again. */
export async function flipInWriteAheadLog(data: string): Promise<void> {
  const { database } = logFiles(data, LOG)
  for (const name of await readdir(database)) {
    if (!name.endsWith('.log')) continue
    const bytes = await readFile(join(database, name))
    if (bytes.length === 0) continue
    bytes[bytes.length >> 2]! ^= 0x10
    return writeFile(join(database, name), bytes)
  }
  invariant(false, 'a log that was just written to has a write-ahead log')
}

/** Removes everything that was written after the head of a size: the log ends with that head again. */
export function truncateAfter(data: string, size: number): Promise<void> {
  return tamper(data, (db) => db.clear({ gt: keyOf(size, HEAD) }))
}
