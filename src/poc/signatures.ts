import { formatNote, parseNote, signNote, type NoteSignature } from '../note/note.ts'
import { generateCosignerKey } from '../note/cosigner.ts'
import { KEY_TYPE } from '../note/key-id.ts'
import { generateSigningKey } from '../note/key.ts'
import { parsePolicy } from '../policy/parse.ts'
import type { Attack } from './attack.ts'
import { client, monitor, policyReader } from './lookouts.ts'
import { serveCheckpoint } from './network.ts'
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

/** The newest head with the log's own signature, and in the place of the witness's line a forged one. */
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
