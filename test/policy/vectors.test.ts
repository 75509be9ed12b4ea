import { describe, expect, test } from 'vitest'
import { parseBase64 } from '../../src/bytes/base64.ts'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import { asHash } from '../../src/merkle/hash.ts'
import { verifyInclusion } from '../../src/merkle/verify.ts'
import { KEY_TYPE } from '../../src/note/key-id.ts'
import { formatVerifierKey, verifierKey } from '../../src/note/key.ts'
import { parseProofFile } from '../../src/note/proof-file.ts'
import { openWithPolicy } from '../../src/policy/evaluate.ts'
import { formatPolicy } from '../../src/policy/format.ts'
import { parsePolicy } from '../../src/policy/parse.ts'
import { evaluateQuorum } from '../../src/policy/quorum.ts'
import genPolicy from '../vectors/gen-policy.json' with { type: 'json' }
import genProof from '../vectors/gen-tlog-proof.json' with { type: 'json' }
import tessera from '../vectors/policy-tessera.json' with { type: 'json' }
import { codeOf, expectCode } from '../note/expect-code.ts'
import { plain } from './fixture.ts'

test.each(genPolicy.cases)('$name: $expect', (c) => {
  const octets = parseBase64(c.policy_base64, 'vector')
  if (c.policy !== undefined) expect(encodeUtf8(c.policy)).toEqual(octets)
  if (c.expect === 'reject') return expectCode(() => parsePolicy(octets), 'malformed')
  const policy = parsePolicy(octets)
  const written = formatPolicy(policy)
  expect(plain(parsePolicy(written))).toEqual(plain(policy))
  expect(formatPolicy(parsePolicy(written))).toEqual(written)
  for (const { valid_cosignatures_by: names, quorum_met: met } of c.evaluate ?? []) {
    const keys = policy.witnesses.map(({ key }) => key).filter(({ name }) => names.includes(name))
    expect(keys).toHaveLength(names.length)
    expect([names, evaluateQuorum(policy, keys).met]).toEqual([names, met])
  }
})

describe('the older dialect of Tessera', () => {
  test.each(tessera.cases)('$name: accepted there is $origin_test_expects, here $expect', (c) => {
    expect(c.expect).toBe('reject')
    expectCode(() => parsePolicy(c.policy), 'malformed')
  })

  // Where its tests accept and the specification does not, the specification holds. Each reason is seen alone once the
  // reasons before it are mended.
  const policyOf = (wanted: string) => tessera.cases.find(({ name }) => name === wanted)!.policy
  const withCosignerKeys = (text: string) =>
    text.replaceAll(/(\S+)\+[0-9a-f]{8}\+(A[A-Za-z0-9+/]{43})/g, (_, name: string, base64: string) => {
      const publicKey = parseBase64(base64, 'vector').subarray(1)
      return formatVerifierKey(verifierKey(name, KEY_TYPE.ed25519Cosignature, publicKey))
    })

  test('tidy: refused for keys of type 0x01, which sign like a log, and for nothing else', () => {
    const tidy = policyOf('tidy')
    expect(() => parsePolicy(tidy)).toThrow(
      'policy line 2: expected a key of a type for a witness (0x04 or 0x06), got one of type 0x01',
    )
    expect(parsePolicy(withCosignerKeys(tidy)).witnesses).toHaveLength(2)
  })

  test('numeric group with a repeated key: refused since one witness could count twice', () => {
    expect(() => parsePolicy(withCosignerKeys(policyOf('numeric group with a repeated key')))).toThrow(
      'policy line 4: expected the public key of witness "w3" once, got it again after line 3',
    )
  })

  test('its other refusals are ours, each for its own reason', () => {
    const mended = (name: string) => () => parsePolicy(`${withCosignerKeys(policyOf(name))}\n`)
    expect(mended('no quorum')).toThrow('policy: expected a "quorum" line')
    expect(mended('duplicate name')).toThrow('policy line 2: expected the name "w1" once')
    // Only "none" is reserved: a witness may be called "all", and what is missing is the quorum.
    expect(mended('reserved witness name')).toThrow('policy: expected a "quorum" line')
  })
})

describe('proof files under the policy of the vectors', () => {
  const policy = parsePolicy(genProof.policy)
  // Base64 of no bytes is the empty text, so the line reads, and is written, like any other.
  const pinned = new Map([['valid with empty extra data', 'accept']])

  test.each(genProof.cases.map((c) => ({ ...c, verdict: pinned.get(c.name) ?? c.expect })))(
    '$name: $verdict',
    (c) => {
      const verify = () => {
        const { index, path, checkpoint: note } = parseProofFile(c.proof)
        const { checkpoint, cosignatures } = openWithPolicy(note, policy)
        const { size, root } = checkpoint
        const leaf = asHash(parseBase64(c.leaf_hash_base64, 'vector'), 'leaf')
        verifyInclusion({ index, size, leaf, path, root })
        return cosignatures
      }
      if (c.verdict === 'accept') expect(verify().length).toBeGreaterThanOrEqual(2)
      else expectCode(verify, 'malformed', 'untrusted_signer', 'bad_signature', 'bad_proof', 'out_of_range')
    },
  )

  test('a corrupt line by a listed witness condemns the note, though two good ones would do', () => {
    const c = genProof.cases.find(({ name }) => name === 'one cosignature corrupt')!
    const { checkpoint } = parseProofFile(c.proof)
    expect(codeOf(() => openWithPolicy(checkpoint, policy))).toBe('bad_signature')
    const bad = checkpoint.trimEnd().split('\n').at(-1)!
    expect(openWithPolicy(checkpoint.replace(`${bad}\n`, ''), policy).cosignatures).toHaveLength(2)
  })

  test('without the log’s line, or with too few witnesses, it is not met, and each says which', () => {
    const { checkpoint } = parseProofFile(genProof.cases.find(({ name }) => name === 'valid, index 0')!.proof)
    const lines = checkpoint
      .trimEnd()
      .split('\n')
      .filter((line) => line.startsWith('— '))
    const without = (...dropped: string[]) =>
      dropped.reduce((note, line) => note.replace(`${line}\n`, ''), checkpoint)
    expect(codeOf(() => openWithPolicy(without(lines[0]!), policy))).toBe('untrusted_signer')
    expect(codeOf(() => openWithPolicy(without(lines[1]!), policy))).toBe('quorum_not_met')
    expect(codeOf(() => openWithPolicy(without(...lines.slice(1)), policy))).toBe('quorum_not_met')
  })
})
