import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { encodeUtf8 } from '../bytes/text.ts'
import { formatSuccessorEntry } from '../client/lineage.ts'
import { SteleError } from '../errors.ts'
import { formatEvidence } from '../monitor/evidence.ts'
import { parseProofFile } from '../note/proof-file.ts'
import type { Attack } from './attack.ts'
import { textReply } from './front.ts'
import { readHistory, rewriteWithKey } from './history.ts'
import { auditor, client, log, monitor, newcomer, policyReader, thirdParty } from './lookouts.ts'
import { lying } from './network.ts'
import { backUp, restoreBackup } from './setting.ts'
import { showFork } from './signatures.ts'
import type { Stage } from './stage.ts'

const ALONE = { witnessed: false }
const SUPPRESSED = 'host-b'

/** Attacks that no party notices, as the threat model documents. They are listed for completeness. */
export const unseenAttacks: readonly Attack[] = [
  {
    name: 'unseen-fork',
    title: 'the same fork, for a reader who does not compare and asks for no witness',
    stage: ALONE,
    lookouts: [newcomer(undefined), auditor(undefined), policyReader(undefined)],
    act: showFork,
  },
  {
    name: 'unseen-rollback',
    title: 'the same backup, where no witness and no reader saw the entries after it',
    stage: ALONE,
    lookouts: [log(undefined), newcomer(undefined), auditor(undefined)],
    act: async (stage) => {
      await backUp(stage)
      await stage.append()
      await restoreBackup(stage)
    },
  },
  {
    name: 'suppress',
    title: 'refuse the entries of one source, and never acknowledge them',
    lookouts: [monitor(undefined), auditor(undefined), policyReader(undefined)],
    act: async (stage) => {
      const problem = JSON.stringify({ code: 'overloaded', detail: 'the queue is full', status: 503 })
      stage.parts.front.lie = lying(
        ({ method, body }) => method === 'POST' && body.includes(SUPPRESSED),
        () => textReply(problem, 'application/problem+json', 503),
      )
      await submitInVain(stage)
    },
  },
]

/** The source knows that it has no receipt, but cannot prove that. */
async function submitInVain({ parts: { front } }: Stage): Promise<void> {
  const body = `${SUPPRESSED}: a login that the operator does not want to log`
  const answer = await fetch(`${front.url}/v1/entries`, { method: 'POST', body })
  if (!answer.ok) return
  throw new SteleError('unexpected_answer', 'expected no receipt for a suppressed entry, got one')
}

/** Attacks by a submitter on an honest log: making others believe that the log cheats. */
export const accusations: readonly Attack[] = [
  {
    name: 'accuse-honest',
    title: 'show evidence against an honest log that took an entry naming a successor from a submitter',
    lookouts: [
      monitor('match'),
      thirdParty('needs_log'),
      log(undefined),
      client(undefined),
      policyReader(undefined),
    ],
    act: async (stage) => {
      const claim = await appendClaim(stage)
      await writeFile(await evidencePath(stage), await accusation(stage, claim))
    },
  },
]

/**
 * This program refuses such an entry over HTTP. It is written into the tree, signed with the honest log's own key, as a
 * log of another program would accept it.
 *
 * @returns the entry's index, and its bytes
 */
async function appendClaim(stage: Stage): Promise<{ readonly index: number; readonly entry: Uint8Array }> {
  await stage.stopLog()
  const { origin, verifierKey } = stage.parts.info
  const successor = { origin: `${origin}/next`, verifierKeys: [verifierKey], url: 'https://log.example/next' }
  const { entries } = await readHistory(stage.data)
  const entry = formatSuccessorEntry({ origin, successor })
  await rewriteWithKey(stage.data, [...entries, entry, encodeUtf8('submitted by another client')])
  await stage.startLog()
  return { index: entries.length, entry }
}

/**
 * Every part is true but the claim: a signed head, and the proof that its tree has the entry, with another entry after
 * it.
 */
async function accusation(
  stage: Stage,
  { index, entry }: { readonly index: number; readonly entry: Uint8Array },
): Promise<string> {
  const { origin, verifierKey } = stage.parts.info
  const { proof } = await stage.newClient().prove(index)
  const { path, checkpoint: note } = parseProofFile(proof)
  const seenAt = new Date(stage.parts.clock.nowMs()).toISOString()
  return formatEvidence({
    kind: 'unfrozen',
    origin,
    keys: [verifierKey],
    heads: [{ note, source: 'checkpoint', url: stage.parts.front.url, seenAt }],
    proof: undefined,
    ending: { index, entry, path },
    message: 'the log ended, and went on',
  })
}

async function evidencePath(stage: Stage): Promise<string> {
  const folder = join(stage.path('monitor'), 'evidence')
  await mkdir(folder, { recursive: true })
  return join(folder, 'accusation.json')
}
