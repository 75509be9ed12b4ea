import { describe, expect, test } from 'vitest'
import { parseHex } from '../../src/bytes/hex.ts'
import { parseCosignature } from '../../src/note/cosignature.ts'
import { parseCosignerKey } from '../../src/note/cosigner.ts'
import { parseVerifierKey } from '../../src/note/key.ts'
import { verifierOf } from '../../src/crypto/mldsa44.ts'
import { openNote, parseSignatures } from '../../src/note/note.ts'
import { originHash } from '../../src/witness/logs.ts'
import { memoryWitnessStore } from '../../src/witness/store.ts'
import { Witness } from '../../src/witness/witness.ts'
import { ED25519, MemoryEvidence, ML_DSA, NOW_SECONDS } from './fixture.ts'
import subtreeVectors from '../vectors/gen-sign-subtree.json' with { type: 'json' }
import session from '../vectors/gen-witness-session.json' with { type: 'json' }
import sigsum from '../vectors/witness-session-sigsum.json' with { type: 'json' }
import { serveWitness } from './server.ts'

function witnessOf(logs: { origin: string; vkey: string }[], keys = [ED25519, ML_DSA]): Witness {
  return new Witness({
    logs: logs.map(({ origin, vkey }) => ({ origin, keys: [parseVerifierKey(vkey)] })),
    keys,
    store: memoryWitnessStore(),
    evidence: new MemoryEvidence(),
    nowMs: () => NOW_SECONDS * 1000,
    events: { contradiction() {} },
  })
}

test('every step of the session is answered as it should be, and leaves the state that it should', async () => {
  const witness = witnessOf(session.logs)
  const server = await serveWitness(witness)
  for (const step of session.cases) {
    const reply = await server.post('/add-checkpoint', step.body)
    expect([step.step, reply.status]).toEqual([step.step, step.status])
    if (step.response_body !== undefined) expect(reply.text).toBe(step.response_body)
    if (step.response_content_type !== undefined) {
      expect(reply.headers['content-type']).toBe(step.response_content_type)
    }
    if (step.status === 200) {
      const note = step.body.slice(step.body.indexOf('\n\n') + 2) + reply.text
      expect(openNote(note, [ED25519.verifier, ML_DSA.verifier]).verifiedBy).toHaveLength(2)
    }
    const state: Record<string, string> = {}
    for (const { origin } of session.logs) {
      const size = witness.head(originHash(origin))?.checkpoint.size
      if (size !== undefined) state[origin] = String(size)
    }
    expect([step.step, state]).toEqual([step.step, step.state_after])
  }
})

test('a session of another implementation is answered as there', async () => {
  const server = await serveWitness(witnessOf([{ origin: sigsum.origin_line, vkey: sigsum.log_vkey }]))
  for (const step of sigsum.cases) {
    const reply = await server.post('/add-checkpoint', step.body)
    expect([step.status, ...(step.status_also_acceptable ?? [])], step.step).toContain(reply.status)
  }
})

describe('requests for subtrees', () => {
  const key = parseCosignerKey(subtreeVectors.witness_skey)
  const verify = verifierOf(key.verifier.publicKey)

  test.each(subtreeVectors.cases)(
    '$name: $status',
    async ({ body, status, expect_signature_over_hex: signed }) => {
      const server = await serveWitness(witnessOf([subtreeVectors.log], [key]))
      const reply = await server.post('/sign-subtree', body)
      expect(reply.status).toBe(status)
      if (signed === undefined) return
      const [line] = parseSignatures(reply.text)
      const { timestampSeconds, signature } = parseCosignature(line!.signature, key.type)
      expect(timestampSeconds).toBe(0)
      expect(verify(parseHex(signed, 'message'), signature)).toBe(true)
      expect([line!.name, line!.id]).toEqual([key.name, key.id])
    },
  )
})
