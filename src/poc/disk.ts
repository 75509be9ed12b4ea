import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Level } from 'level'
import { encodeUtf8 } from '../bytes/text.ts'
import { invariant } from '../errors.ts'
import { logFiles } from '../instance/data-folder.ts'
import type { Attack } from './attack.ts'
import { copySharingHead, LOG, readHistory, rewriteWithKey, rewriteWithoutKey } from './history.ts'
import {
  client,
  fsck,
  log,
  logAppends,
  logServes,
  logTakes,
  monitor,
  thirdParty,
  witnessOfLog,
} from './lookouts.ts'
import { monitorOnce } from './monitoring.ts'
import { backUp, entryAt, restoreBackup } from './setting.ts'
import type { Stage } from './stage.ts'

const FORGED = encodeUtf8('Dec 10 06:55:46 host-a sshd[10]: Accepted password for root')
/** Enough entries for full tiles on two levels. */
const TWO_LEVELS = 66_000
const YEAR_MS = 365 * 86_400_000

/** Attacks by an intruder who can write to the disk and has no key. The log is closed meanwhile. */
function onDisk(task: (stage: Stage) => Promise<void>): Attack['act'] {
  return async (stage) => {
    await stage.stopLog()
    await task(stage)
  }
}

export const diskAttacks: readonly Attack[] = [
  {
    name: 'edit-entry',
    title: 'overwrite entry 10 in the database',
    lookouts: [log(undefined), logServes(10)('corrupt'), monitor('bad_entry'), fsck('entry_differs')],
    act: onDisk((stage) => overwriteEntry(stage.data, 10, FORGED)),
  },
  {
    name: 'edit-newest',
    title: 'overwrite the newest entry in the database',
    lookouts: [fsck('root_differs'), log('corrupt')],
    act: onDisk((stage) => overwriteEntry(stage.data, 599, FORGED)),
  },
  {
    name: 'edit-tree',
    title: 'overwrite entry 10, its leaf hash, and every tile above it',
    stage: { entries: TWO_LEVELS },
    lookouts: [fsck('root_differs'), log('corrupt')],
    act: onDisk(async (stage) => {
      const { entries } = await readHistory(stage.data)
      await rewriteWithoutKey(stage.data, entries.with(10, FORGED))
    }),
  },
  {
    name: 'delete',
    title: 'delete entry 10 from the database',
    lookouts: [log(undefined), logServes(10)('corrupt'), monitor('bad_entry'), fsck('database')],
    act: onDisk((stage) => removeEntry(stage.data, 10)),
  },
  {
    name: 'flip-bit',
    title: "flip a bit of acknowledged entries in LevelDB's write-ahead log",
    lookouts: [fsck('corrupt'), log('corrupt')],
    act: async (stage) => {
      await stage.client.append(entryAt(1000))
      await stage.client.append(entryAt(1001))
      await stage.stopLog()
      await flipInWriteAheadLog(stage.data)
    },
  },
  {
    name: 'reorder',
    title: 'swap entries 10 and 20 in the database',
    lookouts: [log(undefined), logServes(20)('corrupt'), monitor('bad_entry'), fsck('entry_differs')],
    act: onDisk((stage) => swapEntries(stage.data, 10, 20)),
  },
  {
    name: 'truncate',
    title: 'cut the database back to an older signed head',
    lookouts: [fsck('rolled_back'), log('rolled_back')],
    act: onDisk((stage) => truncateAfter(stage.data, 400)),
  },
  {
    name: 'second-writer',
    title: 'append to a copy of the log that shares its head file',
    lookouts: [logTakes('second_writer'), fsck('fork')],
    act: async (stage) => {
      await stage.stopLog()
      await copySharingHead(stage.data, stage.path('twin'))
      await stage.startLog()
      const twin = await stage.serveAlso(stage.path('twin'))
      await stage.append(stage.newClient(`${twin}/logs/${LOG}`))
    },
  },
  {
    name: 'clock-ahead',
    title: 'sign the newest head with a clock that is a year ahead',
    lookouts: [log(undefined), logAppends('log_halted')],
    act: onDisk(async ({ data }) => {
      const { entries } = await readHistory(data)
      await rewriteWithKey(data, entries, Date.now() + YEAR_MS)
    }),
  },
  {
    name: 'restore-backup',
    title: 'restore the whole data folder from a backup, head file included',
    lookouts: [
      witnessOfLog('rolled_back'),
      monitor('rollback'),
      thirdParty('needs_log'),
      client('rolled_back'),
    ],
    act: async (stage) => {
      await backUp(stage)
      await stage.client.append(entryAt(1000))
      await stage.client.append(entryAt(1001))
      // The monitor must have seen the entries; otherwise it cannot notice that they are gone.
      await monitorOnce(stage)
      await restoreBackup(stage)
    },
  },
]

type Database = Level<Uint8Array, Uint8Array>

// The key layout of proto-docs/storage.md, repeated here because an intruder does not use this program's classes.
const HEAD = 0
const ENTRY = 1

/** A key of the log's database: a position and a kind. */
function keyOf(position: number, kind: number): Uint8Array {
  const key = Buffer.alloc(9)
  key.writeBigUInt64BE(BigInt(position))
  key[8] = kind
  return key
}

/** Opens the database of a closed log with LevelDB alone, and changes it. */
async function tamper(data: string, task: (db: Database) => Promise<void>): Promise<void> {
  const db: Database = new Level(logFiles(data, LOG).database, { keyEncoding: 'view', valueEncoding: 'view' })
  await db.open()
  try {
    await task(db)
  } finally {
    await db.close()
  }
}

function overwriteEntry(data: string, index: number, entry: Uint8Array): Promise<void> {
  return tamper(data, (db) => db.put(keyOf(index, ENTRY), entry))
}

function removeEntry(data: string, index: number): Promise<void> {
  return tamper(data, (db) => db.del(keyOf(index, ENTRY)))
}

/** Swaps two entries. */
function swapEntries(data: string, a: number, b: number): Promise<void> {
  return tamper(data, async (db) => {
    const [first, second] = await db.getMany([keyOf(a, ENTRY), keyOf(b, ENTRY)])
    await db.batch([
      { type: 'put', key: keyOf(a, ENTRY), value: second! },
      { type: 'put', key: keyOf(b, ENTRY), value: first! },
    ])
  })
}

/** Flips one bit in the first half of the data that LevelDB replays when it opens the database. */
async function flipInWriteAheadLog(data: string): Promise<void> {
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

/** Removes everything written after the head of this size, so that the log ends with that head again. */
function truncateAfter(data: string, size: number): Promise<void> {
  return tamper(data, (db) => db.clear({ gt: keyOf(size, HEAD) }))
}
