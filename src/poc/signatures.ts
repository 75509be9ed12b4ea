import { rm } from 'node:fs/promises'
import { encodeUtf8 } from '../bytes/text.ts'
import { formatSuccessorEntry } from '../client/lineage.ts'
import { loadConfig } from '../config/config.ts'
import { logFiles } from '../instance/data-folder.ts'
import { freezeStoredLog } from '../instance/freeze.ts'
import { generateCosignerKey } from '../note/cosigner.ts'
import { KEY_TYPE } from '../note/key-id.ts'
import { generateSigningKey } from '../note/key.ts'
import { formatNote, type NoteSignature, parseNote, signNote } from '../note/note.ts'
import { parsePolicy } from '../policy/parse.ts'
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
import { serveCheckpoint } from './network.ts'
import { entryAt } from './setting.ts'
import type { Stage } from './stage.ts'

export const signatureAttacks: readonly Attack[] = [
  {
    name: 'other-key',
    title: "sign the head under the log's name with another key",
    lookouts: [monitor('bad_signature'), client('untrusted_signer'), policyReader('untrusted_signer')],
    act: async (stage) => {
      const { text } = parseNote(stage.heads.at(-1)!)
      serveCheckpoint(stage, await signNote(text, [generateSigningKey(stage.parts.info.origin)]))
    },
  },
  {
    name: 'forge-cosignature',
    title: "put a line under the witness's name on a head, by another key",
    lookouts: [monitor('quorum_lost'), policyReader('quorum_not_met')],
    act: async (stage) =>
      serveCheckpoint(
        stage,
        withCosignature(stage, (line) => line),
      ),
  },
  {
    name: 'imitate-witness',
    title: "the same, with the witness's key ID on the line as well",
    lookouts: [monitor('quorum_lost'), policyReader('bad_signature')],
    act: async (stage) =>
      serveCheckpoint(
        stage,
        withCosignature(stage, (line) => ({ ...line, id: witnessKey(stage).id })),
      ),
  },
]

/** The newest head with the log's own signature, and a forged line in place of the witness's. */
function withCosignature(stage: Stage, change: (line: NoteSignature) => NoteSignature): string {
  const { text, signatures } = parseNote(stage.heads.at(-1)!)
  const genuine = witnessKey(stage)
  const forger = generateCosignerKey(genuine.name, KEY_TYPE.ed25519Cosignature)
  const line = forger.cosign(text, Math.floor(stage.parts.clock.nowMs() / 1000))
  const others = signatures.filter(({ name }) => name !== genuine.name)
  return formatNote({ text, signatures: [...others, change(line)] })
}

function witnessKey({ parts }: Stage) {
  return parsePolicy(parts.policy).witnesses[0]!.key
}

const FORGED = encodeUtf8('Dec 10 06:55:46 host-a sshd[10]: Accepted password for root')
const FORK_SIZE = 650
const COMMON_SIZE = 400

/**
 * Attacks by an intruder who has the log's private keys: everything is signed, and nothing in the folder contradicts.
 */
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
    title: 'remove entries that others have seen from the end of a log, and continue',
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

/** Ends the log as `stele log rollover` does: with a final entry, and the record that the log is frozen. */
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

/** Replaces the log behind the proxy with a second log that has the same keys. */
export async function showFork(stage: Stage): Promise<void> {
  const common = Array.from({ length: COMMON_SIZE }, (_, i) => entryAt(i))
  const fork = stage.path('fork')
  await forkInto(stage.data, fork, [...common, ...fillers(FORK_SIZE - COMMON_SIZE)])
  stage.parts.front.target = await stage.serveAlso(fork)
}

function fillers(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) =>
    encodeUtf8(`Dec 10 06:55:46 host-a cron[${i}]: nothing happened`),
  )
}
