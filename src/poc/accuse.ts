import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { encodeUtf8 } from '../bytes/text.ts'
import { formatSuccessorEntry } from '../client/lineage.ts'
import { formatEvidence } from '../monitor/evidence.ts'
import { parseProofFile } from '../note/proof-file.ts'
import type { Attack } from './attack.ts'
import { readHistory, rewriteWithKey } from './history.ts'
import { client, log, monitor, policyReader, thirdParty } from './lookouts.ts'
import type { Stage } from './stage.ts'

/** What a submitter does to a log that is honest: make others believe that it cheats. */
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
 * This program refuses the entry over HTTP, so it is put there as a log of another program takes it: into the tree, signed
 * with the log's own key, which is honest.
 *
 * @returns where it stands, and its bytes
 */
async function appendClaim(stage: Stage): Promise<{ readonly index: number; readonly entry: Uint8Array }> {
  await stage.stopLog()
  const { origin, verifierKey } = stage.parts.info
  const successor = { origin: `${origin}/next`, verifierKeys: [verifierKey], url: 'https://log.example/next' }
  const { entries } = await readHistory(stage.data)
  const entry = formatSuccessorEntry({ origin, successor })
  await rewriteWithKey(stage.data, [...entries, entry, encodeUtf8('submitted by somebody else')])
  await stage.startLog()
  return { index: entries.length, entry }
}

/** All true but what it says: a signed head, and the proof that its tree has the entry, with another behind it. */
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
