import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseBase64 } from '../../src/bytes/base64.ts'
import { concatBytes } from '../../src/bytes/bytes.ts'
import { parseHex, toHex } from '../../src/bytes/hex.ts'
import { decodeUtf8, encodeUtf8 } from '../../src/bytes/text.ts'
import { asHash, EMPTY_ROOT } from '../../src/merkle/hash.ts'
import { formatCheckpoint, openCheckpoint, parseCheckpoint } from '../../src/note/checkpoint.ts'
import { cosignatureMessage, parseCosignature, verifySubtree, wholeTree } from '../../src/note/cosignature.ts'
import { generateCosignerKey } from '../../src/note/cosigner.ts'
import * as ed25519 from '../../src/crypto/ed25519-portable.ts'
import { KEY_TYPE } from '../../src/note/key-id.ts'
import type { CosignerKeyType } from '../../src/note/key-id.ts'
import { generateSigningKey, parseVerifierKey, verifierKey } from '../../src/note/key.ts'
import * as mldsa44 from '../../src/crypto/mldsa44-portable.ts'
import { formatSignatures, openNote, parseNote, parseSignatures } from '../../src/note/note.ts'
import { subtreeMessage } from '../../src/note/subtree.ts'
import cctv from '../vectors/ed25519-edge-cctv.json' with { type: 'json' }
import timestamps from '../vectors/cosignature-timestamp-formats.json' with { type: 'json' }
import sunlight from '../vectors/cosigned-checkpoint-sunlight.json' with { type: 'json' }
import gen from '../vectors/gen-cosignatures.json' with { type: 'json' }
import { CHECKPOINT_7, ROOT_7, SEED, TEXT_7, WITNESS_VKEY } from './example.ts'
import { codeOf, expectCode } from './expect-code.ts'

const ED25519 = KEY_TYPE.ed25519Cosignature
const ML_DSA = KEY_TYPE.mlDsa44Cosignature
const TYPES = [ED25519, ML_DSA] as const
const NOW = 1_750_000_000
const WITH_EXTENSION = `${TEXT_7}extension\n`
const witnesses = {
  [ED25519]: generateCosignerKey('w.example', ED25519, SEED),
  [ML_DSA]: generateCosignerKey('w.example', ML_DSA, SEED),
}

/** What follows the key ID, for a message of the test's making. */
function signRaw(type: CosignerKeyType, timestamp: bigint, message: Uint8Array): Uint8Array {
  const time = new Uint8Array(8)
  new DataView(time.buffer).setBigUint64(0, timestamp)
  const sign = type === ED25519 ? ed25519.signerOf(SEED) : mldsa44.signerOf(SEED)
  return concatBytes(time, sign(message))
}

function messageOf(type: CosignerKeyType, text: string, timestamp: bigint): Uint8Array {
  return type === ED25519
    ? cosignatureMessage(text, timestamp)
    : subtreeMessage('w.example', timestamp, wholeTree(parseCheckpoint(text)))
}

describe('vectors', () => {
  test.each(gen.cases)('$name: $expect', (c) => {
    const keys = c.vkeys.map(parseVerifierKey)
    if (c.expect === 'reject') return expectCode(() => openNote(c.note, keys), 'bad_signature')
    const note = openNote(c.note, keys)
    expect(note.verifiedBy).toEqual(keys)
    const cosigner = keys.at(-1)!
    const type = cosigner.type as CosignerKeyType
    const { timestampSeconds } = parseCosignature(note.signatures.at(-1)!.signature, type)
    if (c.timestamp !== undefined) expect(String(timestampSeconds)).toBe(c.timestamp)
    if (c.signed_message !== undefined) {
      expect(decodeUtf8(cosignatureMessage(note.text, BigInt(c.timestamp)), 'message')).toBe(c.signed_message)
    }
    if (c.signed_message_hex !== undefined) {
      const tree = wholeTree(parseCheckpoint(note.text))
      expect(toHex(subtreeMessage(cosigner.name, BigInt(c.timestamp), tree))).toBe(c.signed_message_hex)
    }
  })

  test.each(gen.subtrees)('$name: $expect', (c) => {
    const key = parseVerifierKey(c.vkey)
    const [line] = parseSignatures(c.line)
    const hash = asHash(parseBase64(c.hash_base64, 'vector'), 'vector')
    const subtree = { origin: c.origin, start: Number(c.start), end: Number(c.end), hash }
    expect([line!.name, line!.id]).toEqual([key.name, key.id])
    if (c.signed_message_hex !== undefined) {
      expect(toHex(subtreeMessage(key.name, BigInt(c.timestamp), subtree))).toBe(c.signed_message_hex)
    }
    const verify = () => verifySubtree(key, subtree, line!.signature)
    if (c.expect === 'reject') return expectCode(verify, 'bad_signature')
    expect(verify().timestampSeconds).toBe(Number(c.timestamp))
    expectCode(() => verifySubtree(key, { ...subtree, origin: 'other' }, line!.signature), 'bad_signature')
  })

  test('the time is read from the bytes behind the key ID', () => {
    for (const c of timestamps.cases) {
      const bytes = parseBase64(c.signature_base64, 'vector').subarray(4)
      expect(String(parseCosignature(bytes, ED25519).timestampSeconds)).toBe(c.timestamp)
    }
  })

  test('a witnessed checkpoint of a CT log opens with both keys, its own and the witness’s', () => {
    for (const c of sunlight.cases) {
      const note = openNote(c.note, c.vkeys.map(parseVerifierKey))
      expect(note.signatures.map(({ name }) => name)).toEqual(c.verified)
      expect(note.unverified).toHaveLength(c.unverified)
    }
  })
})

describe('what is signed', () => {
  test('by Ed25519 is the published example, a text', () => {
    const expected = `cosignature/v1\ntime 1750000000\nlog.example/demo\n7\n${ROOT_7}\n`
    expect(decodeUtf8(cosignatureMessage(TEXT_7, NOW), 'message')).toBe(expected)
    const { verifiedBy, signatures } = openNote(CHECKPOINT_7, [parseVerifierKey(WITNESS_VKEY)])
    expect(verifiedBy).toHaveLength(1)
    expect(parseCosignature(signatures[0]!.signature, ED25519).timestampSeconds).toBe(NOW)
  })

  test('by ML-DSA-44 is the published example, 95 bytes', () => {
    const hash = asHash(
      parseHex('96c531d55db22b9b7d2057afc432b10a60a2f3812b8ecb5d3fb51b114fd12ab7', 'x'),
      'x',
    )
    const subtree = { origin: 'log.example/demo', start: 4, end: 6, hash }
    const message = subtreeMessage('w.example', 0, subtree)
    expect(message).toHaveLength(95)
    expect(toHex(message)).toBe(
      '737562747265652f76310a0009772e6578616d706c650000000000000000106c6f672e6578616d706c652f64656d6f' +
        `00000000000000040000000000000006${toHex(hash)}`,
    )
  })

  test('is the whole text for Ed25519, and leaves the extension lines out for ML-DSA-44', () => {
    const verdicts = TYPES.map((type) => {
      const { verifier } = witnesses[type]
      const { signature } = witnesses[type].cosign(WITH_EXTENSION, NOW)
      return [WITH_EXTENSION, TEXT_7, `${TEXT_7}Extension\n`].map((text) => verifier.verify(text, signature))
    })
    expect(verdicts).toEqual([
      [true, false, false],
      [true, true, true],
    ])
  })

  test('names the cosigner for ML-DSA-44 only: an Ed25519 cosigner needs a key of its own', () => {
    const verdicts = TYPES.map((type) => {
      const { verifier } = witnesses[type]
      const { signature } = witnesses[type].cosign(TEXT_7, NOW)
      return verifierKey('other.example', type, verifier.publicKey).verify(TEXT_7, signature)
    })
    expect(verdicts).toEqual([true, false])
  })
})

describe.each(TYPES)('the time on a checkpoint, type %i', (type) => {
  const { verifier } = witnesses[type]
  const verify = (timestamp: bigint, signed = timestamp) => {
    const bytes = signRaw(type, signed, messageOf(type, TEXT_7, signed))
    new DataView(bytes.buffer).setBigUint64(0, timestamp)
    return verifier.verify(TEXT_7, bytes)
  }

  test('is from 1 to 2^63-1', () => {
    const times = [0n, 1n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n]
    expect(times.map((time) => verify(time))).toEqual([false, true, true, true, true, false, false])
  })

  test('is read as nothing where no number holds it', () => {
    const bytes = (time: bigint) => signRaw(type, time, new Uint8Array(0))
    const seconds = (time: bigint) => parseCosignature(bytes(time), type).timestampSeconds
    expect([0n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n - 1n].map(seconds)).toEqual([
      0,
      2 ** 53 - 1,
      undefined,
      undefined,
    ])
    expectCode(() => seconds(2n ** 63n), 'malformed')
  })

  test('is signed, and big-endian', () => {
    expect(verify(BigInt(NOW), BigInt(NOW))).toBe(true)
    expect(verify(BigInt(NOW) + 1n, BigInt(NOW))).toBe(false)
    expect(verify(0n, BigInt(NOW))).toBe(false)
    const littleEndian = signRaw(type, BigInt(NOW), messageOf(type, TEXT_7, BigInt(NOW)))
    littleEndian.subarray(0, 8).reverse()
    expect(verifier.verify(TEXT_7, littleEndian)).toBe(false)
  })
})

describe('a line of one kind does not pass for another', () => {
  const note = generateSigningKey('w.example', SEED)
  const cosignature = witnesses[ED25519].cosign(TEXT_7, NOW)
  const { verifier } = witnesses[ED25519]

  test('though both are by the same Ed25519 key', () => {
    const plain = note.sign(encodeUtf8(TEXT_7))
    expect(note.verifier.publicKey).toEqual(verifier.publicKey)
    expect(note.verifier.id).not.toBe(verifier.id)
    expect(verifier.verify(TEXT_7, plain)).toBe(false)
    expect(verifier.verify(TEXT_7, concatBytes(cosignature.signature.subarray(0, 8), plain))).toBe(false)
    expect(note.verifier.verify(TEXT_7, cosignature.signature)).toBe(false)
    expect(note.verifier.verify(TEXT_7, cosignature.signature.subarray(8))).toBe(false)
  })

  test('under the ID of the other it condemns the note', () => {
    const signatures = [{ ...cosignature, id: note.id }]
    expectCode(() => openNote({ text: TEXT_7, signatures }, [note.verifier]), 'bad_signature')
    const swapped = [{ ...cosignature, signature: note.sign(encodeUtf8(TEXT_7)) }]
    expectCode(() => openNote({ text: TEXT_7, signatures: swapped }, [verifier]), 'bad_signature')
  })

  test('nor that of a subtree for one on a checkpoint', () => {
    const witness = witnesses[ML_DSA]
    const { signature } = witness.signSubtree(wholeTree(parseCheckpoint(TEXT_7)))
    expect(witness.verifier.verify(TEXT_7, signature)).toBe(false)
    expect(
      verifySubtree(witness.verifier, wholeTree(parseCheckpoint(TEXT_7)), signature).timestampSeconds,
    ).toBe(0)
  })

  test('but one on a checkpoint is one on its whole tree', () => {
    const { verifier } = witnesses[ML_DSA]
    const { signature } = witnesses[ML_DSA].cosign(TEXT_7, NOW)
    const tree = wholeTree(parseCheckpoint(TEXT_7))
    expect(verifySubtree(verifier, tree, signature).timestampSeconds).toBe(NOW)
    expectCode(() => verifySubtree(verifier, { ...tree, end: 8 }, signature), 'bad_signature')
    expectCode(() => verifySubtree(verifier, { ...tree, start: 1 }, signature), 'out_of_range')
    expectCode(() => verifySubtree(verifier, { ...tree, start: 4 }, signature), 'bad_signature')
    expectCode(() => verifySubtree(verifier, { ...tree, start: 0.5 }, signature), 'out_of_range')
    expectCode(() => verifySubtree(verifier, { ...tree, end: 2 ** 53 }, signature), 'out_of_range')
    expectCode(() => verifySubtree(verifier, { ...tree, origin: '' }, signature), 'malformed')
    expectCode(() => verifySubtree(verifier, tree, signature.subarray(1)), 'malformed')
    expectCode(() => verifySubtree(witnesses[ED25519].verifier, tree, signature), 'usage')
  })
})

describe('on what is no checkpoint', () => {
  const texts = [
    'hello\n',
    'a\n1\n',
    `a\n01\n${ROOT_7}\n`,
    `a\n9007199254740992\n${ROOT_7}\n`,
    `a\n1\n${ROOT_7}\n\n`,
  ]

  test.each(TYPES)('no line of type %i verifies, and nothing throws', (type) => {
    for (const text of texts) {
      const message = cosignatureMessage(text, NOW)
      expect(witnesses[type].verifier.verify(text, signRaw(type, BigInt(NOW), message))).toBe(false)
      expectCode(() => witnesses[type].cosign(text, NOW), 'malformed', 'out_of_range')
    }
  })

  test('origins of up to 255 bytes fit into what ML-DSA-44 signs', () => {
    const { verifier } = witnesses[ML_DSA]
    const textOf = (origin: string) => formatCheckpoint({ origin, size: 0, root: EMPTY_ROOT })
    const longest = 'é'.repeat(127) + 'x'
    const { signature } = witnesses[ML_DSA].cosign(textOf(longest), NOW)
    expect(verifier.verify(textOf(longest), signature)).toBe(true)
    expect(verifier.verify(textOf(`${longest}x`), signature)).toBe(false)
    expectCode(() => witnesses[ML_DSA].cosign(textOf(`${longest}x`), NOW), 'malformed')
    const { verifier: other } = witnesses[ED25519]
    const long = textOf('é'.repeat(500))
    expect(other.verify(long, witnesses[ED25519].cosign(long, NOW).signature)).toBe(true)
  })
})

test('Ed25519 cosigner keys of small order, or not canonical, are refused', () => {
  for (const c of cctv.cases) {
    const isBad = c.flags?.some((flag) => flag === 'low_order_A' || flag === 'non_canonical_A') ?? false
    const code = codeOf(() => verifierKey('w.example', ED25519, parseHex(c.key, 'vector')))
    expect([c.number, code]).toEqual([c.number, isBad ? 'malformed' : undefined])
  }
})

describe('opening a checkpoint as a log’s', () => {
  const log = generateSigningKey('log.example/demo', SEED)
  const origin = log.name
  const postQuantum = generateCosignerKey(origin, ML_DSA, SEED)

  test('takes no key of type 0x04, even where its line is good', () => {
    const witness = parseVerifierKey(WITNESS_VKEY)
    expectCode(() => openCheckpoint(CHECKPOINT_7, { origin, verifiers: [witness] }), 'usage')
    expectCode(() => openCheckpoint(CHECKPOINT_7, { origin, verifiers: [log.verifier, witness] }), 'usage')
  })

  test('takes extension lines from whoever signs them, and ML-DSA-44 does not', () => {
    const text = WITH_EXTENSION
    const verifiers = [log.verifier, postQuantum.verifier]
    const plain = { name: log.name, id: log.id, signature: log.sign(encodeUtf8(text)) }
    const both = [plain, postQuantum.cosign(TEXT_7, NOW)]
    const noteOf = (signatures: typeof both) => {
      const lines = signatures.map((line) => formatSignatures([line])).join('')
      return `${text}\n${lines}`
    }
    expect(openCheckpoint(noteOf(both), { origin, verifiers }).checkpoint.extensions).toEqual(['extension'])
    expectCode(() => openCheckpoint(noteOf(both.slice(1)), { origin, verifiers }), 'bad_signature')
    expectCode(
      () => openCheckpoint(noteOf(both), { origin, verifiers: [postQuantum.verifier] }),
      'bad_signature',
    )
  })
})

test('random bytes are refused, and nothing is thrown but what is documented', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 100 }),
    fc.uint8Array({ minLength: 72, maxLength: 72 }),
    fc.uint8Array({ minLength: 2428, maxLength: 2428, size: 'max' }),
  )
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.constant(TEXT_7)), bytes, (text, signature) => {
      for (const type of TYPES) {
        expect(witnesses[type].verifier.verify(text, signature)).toBe(false)
        const code = codeOf(() => parseCosignature(signature, type))
        expect([undefined, 'malformed']).toContain(code)
      }
    }),
    { numRuns: 60 },
  )
})

test('any checkpoint at any time is cosigned so that it verifies, and for no other', () => {
  const checkpoint = fc.record({
    origin: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter((s) => !/\p{Cc}/u.test(s)),
    size: fc.maxSafeNat(),
    root: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => asHash(bytes, 'test')),
  })
  fc.assert(
    fc.property(checkpoint, fc.integer({ min: 1, max: 253_402_300_799 }), ({ ...parts }, time) => {
      const text = formatCheckpoint(parts)
      const other = formatCheckpoint({ ...parts, size: parts.size === 0 ? 1 : parts.size - 1 })
      for (const type of TYPES) {
        const { verifier } = witnesses[type]
        const { name, id, signature } = witnesses[type].cosign(text, time)
        expect([name, id, verifier.verify(text, signature)]).toEqual([verifier.name, verifier.id, true])
        expect(verifier.verify(other, signature)).toBe(false)
        expect(parseCosignature(signature, type).timestampSeconds).toBe(time)
      }
    }),
    { numRuns: 12 },
  )
})

test('lines are as long as the specifications say', () => {
  const lengths = TYPES.map((type) => witnesses[type].cosign(TEXT_7, NOW).signature.length + 4)
  expect(lengths).toEqual([76, 2432])
  const line = formatSignatures([witnesses[ML_DSA].cosign(TEXT_7, NOW)])
  expect(encodeUtf8(line)).toHaveLength('— w.example '.length + 2 + 3244 + 1)
  // 16 of them, the most that a witness must take, need more than an older limit of 16 kB.
  const note = `${TEXT_7}\n${line.repeat(16)}`
  expect(encodeUtf8(note).length).toBeGreaterThan(52_000)
  expect(encodeUtf8(note).length).toBeLessThan(64_000)
  expect(parseNote(note).signatures).toHaveLength(16)
})
