import { rm } from 'node:fs/promises'
import { encodeUtf8 } from '../bytes/text.ts'
import { formatSuccessorEntry } from '../client/lineage.ts'
import { loadConfig } from '../config/config.ts'
import { logFiles } from '../instance/data-folder.ts'
import { freezeStoredLog } from '../instance/freeze.ts'
import { logSettings } from '../server/settings.ts'
import type { Attack } from './attack.ts'
import { forkInto, LOG, readHistory, rewriteWithKey } from './history.ts'
import {
  client,
  log,
  monitor,
  newcomer,
  policyReader,
  receiptHolder,
  thirdParty,
  witness,
} from './lookouts.ts'
import { monitorOnce } from './monitoring.ts'
import { entryAt } from './setting.ts'
import type { Stage } from './stage.ts'

const FORGED = encodeUtf8('Dec 10 06:55:46 host-a sshd[10]: Accepted password for root')
const FORK_SIZE = 650
const COMMON_SIZE = 400

/** What somebody does who has the log's private keys: everything is signed, and nothing in the folder contradicts. */
export const stolenKeyAttacks: readonly Attack[] = [
  {
    name: 'stolen-key',
    title: 'rewrite entry 10 and the whole tree, and sign it with the stolen key',
    lookouts: [
      log('quorum_not_met'),
      witness('fork'),
      monitor('fork'),
      thirdParty('proven'),
      client('fork'),
      policyReader('quorum_not_met'),
    ],
    act: async (stage) => {
      await stage.stopLog()
      const { entries } = await readHistory(stage.data)
      await rewriteWithKey(stage.data, entries.with(10, FORGED))
    },
  },
  {
    name: 'fork-reader',
    title: 'show one reader another history, signed with the same key',
    lookouts: [
      newcomer(undefined),
      policyReader('quorum_not_met'),
      monitor('fork'),
      thirdParty('proven'),
      client('fork'),
    ],
    act: showFork,
  },
  {
    name: 'drop-source',
    title: 'drop the entries of one source after they were acknowledged, and sign what is left',
    lookouts: [
      receiptHolder(2)('not_found'),
      client('fork'),
      monitor('fork'),
      thirdParty('proven'),
      witness('bad_proof'),
      policyReader('quorum_not_met'),
    ],
    act: async (stage) => {
      await stage.stopLog()
      await rm(logFiles(stage.data, LOG).policy)
      const { entries } = await readHistory(stage.data)
      const kept = entries.filter((entry) => !Buffer.from(entry).includes('host-b'))
      await rewriteWithKey(stage.data, [...kept, ...fillers(FORK_SIZE - kept.length)])
      await stage.startLog()
    },
  },
  {
    name: 'unfreeze',
    title: 'take the end of a log back that others have seen, and go on',
    lookouts: [
      monitor('unfrozen'),
      thirdParty('needs_log'),
      log(undefined),
      client(undefined),
      policyReader(undefined),
    ],
    act: async (stage) => {
      await endLog(stage)
      await monitorOnce(stage)
      await stage.stopLog()
      const { entries } = await readHistory(stage.data)
      await rewriteWithKey(stage.data, [...entries, FORGED])
      await stage.startLog()
    },
  },
]

/** The log ends as `stele log rollover` ends it: with an entry of its own, and the mark that nothing follows. */
async function endLog(stage: Stage): Promise<void> {
  await stage.stopLog()
  const { origin, verifierKey } = stage.parts.info
  const url = 'https://log.example/next'
  const successor = { origin: `${origin}/next`, verifierKeys: [verifierKey], url }
  const settings = logSettings(loadConfig({ flags: { data: stage.data } }))
  await freezeStoredLog(stage.data, LOG, settings, {
    successor: url,
    lastEntry: formatSuccessorEntry({ origin, successor }),
  })
  await stage.startLog()
}

/** A second log with the same keys takes the place of the first one before a reader's eyes. */
export async function showFork(stage: Stage): Promise<void> {
  const common = Array.from({ length: COMMON_SIZE }, (_, i) => entryAt(i))
  const fork = stage.path('fork')
  await forkInto(stage.data, fork, [...common, ...fillers(FORK_SIZE - COMMON_SIZE)])
  stage.parts.front.target = await stage.serveAlso(fork)
}

/** Entries that were never submitted. */
function fillers(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) =>
    encodeUtf8(`Dec 10 06:55:46 host-a cron[${i}]: nothing happened`),
  )
}
