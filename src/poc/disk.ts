import { encodeUtf8 } from '../bytes/text.ts'
import type { Attack } from './attack.ts'
import { flipInWriteAheadLog, overwriteEntry, removeEntry, swapEntries, truncateAfter } from './database.ts'
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
/** Enough for full tiles of two levels. */
const TWO_LEVELS = 66_000
const YEAR_MS = 365 * 86_400_000

/** What somebody does who can write to the disk and has no key. The log is closed meanwhile. */
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
    title: 'let entries 10 and 20 change places in the database',
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
    title: 'let a copy of the log append, which shares its head file',
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
    title: 'sign the newest head by a clock that is a year ahead',
    lookouts: [log(undefined), logAppends('log_halted')],
    act: onDisk(async ({ data }) => {
      const { entries } = await readHistory(data)
      await rewriteWithKey(data, entries, Date.now() + YEAR_MS)
    }),
  },
  {
    name: 'restore-backup',
    title: 'put the whole data folder back to a backup, head file included',
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
      // Who never saw what is taken back cannot miss it.
      await monitorOnce(stage)
      await restoreBackup(stage)
    },
  },
]
