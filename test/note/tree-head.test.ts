import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import * as ed25519 from '#ed25519'
import * as p256 from '#p256'
import { parseBase64, toBase64 } from '../../src/bytes/base64.ts'
import { parseHex, toHex } from '../../src/bytes/hex.ts'
import { asHash } from '../../src/merkle/hash.ts'
import { openCheckpoint } from '../../src/note/checkpoint.ts'
import { formatDigitallySigned, parseDigitallySigned } from '../../src/note/ct-structs.ts'
import {
  checkpointOfTreeHead,
  formatGetSth,
  parseGetSth,
  treeHeadOfCheckpoint,
} from '../../src/note/get-sth.ts'
import { KEY_TYPE } from '../../src/note/key-id.ts'
import { formatVerifierKey, parseVerifierKey, verifierKey } from '../../src/note/key.ts'
import { formatNote, openNote, parseNote } from '../../src/note/note.ts'
import { parseTimestamped } from '../../src/note/timestamped.ts'
import { logId, treeHeadBytes, treeHeadSigner, treeHeadVerifier } from '../../src/note/tree-head.ts'
import structs from '../vectors/gen-ct-structs.json' with { type: 'json' }
import notes from '../vectors/notes-formats.json' with { type: 'json' }
import real from '../vectors/rfc6962-sth-real.json' with { type: 'json' }
import { ROOT_7, SEED } from './example.ts'
import { codeOf, expectCode } from './expect-code.ts'

const base64 = (text: string): Uint8Array => parseBase64(text, 'test')
const signer = treeHeadSigner(p256.generatePrivateKey())
const head = { timestampMs: 1_750_000_000_000, size: 7, root: asHash(base64(ROOT_7), 'test') }
const key = verifierKey('log.example/demo', KEY_TYPE.treeHead, signer.spki)

describe('vectors', () => {
  const [ecdsa, eddsa] = structs.cases.filter((c) => c.get_sth !== undefined)

  test('the signed bytes and the LogID are those of the vectors', () => {
    for (const c of [ecdsa!, eddsa!]) {
      expect(toHex(treeHeadBytes(parseGetSth(c.get_sth)))).toBe(c.signature_input_hex)
      expect(toBase64(logId(base64(c.spki_base64)))).toBe(c.log_id_base64)
      expect(formatGetSth(parseGetSth(c.get_sth))).toEqual(c.get_sth)
    }
  })

  test('the ECDSA tree head verifies, and not when anything in it is changed', () => {
    const sth = parseGetSth(ecdsa!.get_sth)
    const verify = treeHeadVerifier(base64(ecdsa!.spki_base64))
    verify(sth)
    expectCode(() => verify({ ...sth, size: sth.size + 1 }), 'bad_signature')
    expectCode(() => verify({ ...sth, timestampMs: sth.timestampMs + 1 }), 'bad_signature')
    expectCode(() => verify({ ...sth, root: head.root }), 'bad_signature')
    expectCode(() => verify({ ...sth, signature: sth.signature.slice(4) }), 'malformed')
  })

  test('the Ed25519 tree head has the signature of its key, and an ECDSA verifier refuses it', () => {
    const sth = parseGetSth(eddsa!.get_sth)
    const { algorithm, signature } = parseDigitallySigned(sth.signature)
    expect(algorithm).toBe('ed25519')
    // A SubjectPublicKeyInfo of Ed25519 ends in the key.
    const publicKey = base64(eddsa!.spki_base64).slice(-32)
    expect(ed25519.verify(publicKey, treeHeadBytes(sth), signature)).toBe(true)
    expectCode(() => treeHeadVerifier(base64(ecdsa!.spki_base64))(sth), 'bad_signature')
    expectCode(() => treeHeadVerifier(base64(eddsa!.spki_base64)), 'malformed')
  })

  test('a real tree head verifies and becomes the checkpoint that everybody derives from it, and back', () => {
    for (const c of real.cases) {
      const spki = base64(c.log_public_key_spki_base64)
      const sth = parseGetSth(c.get_sth_json)
      expect(toHex(treeHeadBytes(sth))).toBe(c.signature_input_hex)
      expect(toBase64(logId(spki))).toBe(c.log_id_base64)
      treeHeadVerifier(spki)(sth)

      const logKey = verifierKey(c.note_origin, KEY_TYPE.treeHead, spki)
      expect(formatVerifierKey(logKey)).toBe(c.vkey)
      const note = checkpointOfTreeHead(sth, logKey)
      expect(note).toBe(c.checkpoint)
      const { checkpoint } = openCheckpoint(note, { origin: c.note_origin, verifiers: [logKey] })
      expect(checkpoint.size).toBe(sth.size)
      expect(formatGetSth(treeHeadOfCheckpoint(note, logKey))).toEqual(c.get_sth_json)
    }
  })

  test('the line of a static CT log carries its time', () => {
    for (const c of notes.cases) {
      if (c.timestamp_ms === undefined) continue
      const note = openNote(base64(c.note_base64), c.vkeys.map(parseVerifierKey))
      expect(String(parseTimestamped(note.signatures[0]!.signature, 'test').timestamp)).toBe(c.timestamp_ms)
    }
  })
})

describe('the published example', () => {
  test('has these 50 bytes', () => {
    const bytes = treeHeadBytes(head)
    expect(bytes).toHaveLength(50)
    expect(toHex(bytes)).toBe(`0001000001977420dc000000000000000007${toHex(base64(ROOT_7))}`)
  })

  test('has this Ed25519 signature', () => {
    const signature = ed25519.sign(SEED, treeHeadBytes(head))
    expect(toBase64(formatDigitallySigned({ algorithm: 'ed25519', signature }))).toBe(
      'CAcAQPQ1jVY9T5On29Ada54QavFIXwHB+6Zuo/tkIJviXgYzjkHbwpELBRgw4EEJ26zJh0x2P/ZTuuUmosOaUFyD9w4=',
    )
  })
})

describe('signing', () => {
  test('gives a tree head that verifies, as get-sth and as a checkpoint', () => {
    const signed = signer.sign(head)
    expect(signer.logId).toEqual(logId(signer.spki))
    treeHeadVerifier(signer.spki)(signed)
    expect(parseGetSth(JSON.parse(JSON.stringify(formatGetSth(signed))))).toEqual(signed)
    const note = checkpointOfTreeHead(signed, key)
    expect(openCheckpoint(note, { origin: key.name, verifiers: [key] }).checkpoint.root).toEqual(head.root)
    expect(treeHeadOfCheckpoint(note, key)).toEqual(signed)
  })

  test('takes P-256 keys only', () => {
    expectCode(() => treeHeadSigner(SEED), 'malformed')
  })
})

describe('a line of type 0x05', () => {
  const note = checkpointOfTreeHead(signer.sign(head), key)
  const { text, signatures } = parseNote(note)

  test('does not hold for another origin, which its signature does not cover', () => {
    const moved = formatNote({ text: text.replace('log.example/demo', 'log.example/evil'), signatures })
    expectCode(() => openNote(moved, [key]), 'bad_signature')
    expectCode(() => treeHeadOfCheckpoint(moved, key), 'wrong_origin')
  })

  test('does not hold with extension lines, which its signature does not cover', () => {
    const extended = formatNote({ text: `${text}extension\n`, signatures })
    expectCode(() => openNote(extended, [key]), 'bad_signature')
    expectCode(() => treeHeadOfCheckpoint(extended, key), 'malformed')
  })

  test('does not hold for another time, size or root', () => {
    const later = signatures.map((line) => ({
      ...line,
      signature: line.signature.map((b, i) => (i === 7 ? b ^ 1 : b)),
    }))
    expectCode(() => openNote(formatNote({ text, signatures: later }), [key]), 'bad_signature')
    expectCode(
      () => openNote(formatNote({ text: text.replace('\n7\n', '\n8\n'), signatures }), [key]),
      'bad_signature',
    )
  })

  test('does not hold on a text that is no checkpoint, or with a time that a number cannot hold', () => {
    expect(key.verify('hello\n', signatures[0]!.signature)).toBe(false)
    expect(key.verify(text, new Uint8Array(0))).toBe(false)
    expect(key.verify(text, new Uint8Array(80).fill(0xff))).toBe(false)
  })

  test('is looked up by name and ID', () => {
    expectCode(() => treeHeadOfCheckpoint(note, { name: key.name, id: key.id + 1 }), 'untrusted_signer')
  })
})

describe('DigitallySigned', () => {
  test('other lengths and algorithms are malformed', () => {
    const good = formatDigitallySigned({ algorithm: 'ed25519', signature: new Uint8Array(64) })
    expect(parseDigitallySigned(good)).toEqual({ algorithm: 'ed25519', signature: new Uint8Array(64) })
    for (const bad of [
      good.slice(0, -1),
      Uint8Array.from([...good, 0]),
      good.slice(0, 3),
      new Uint8Array(0),
      parseHex('0401000101', 'test'), // RSA
      parseHex('0403000201', 'test'),
    ]) {
      expectCode(() => parseDigitallySigned(bad), 'malformed')
    }
  })

  test('random bytes are malformed or read back the same', () => {
    fc.assert(
      fc.property(fc.constantFrom('0403', '0807', '0401'), fc.uint8Array({ maxLength: 4 }), (code, rest) => {
        const bytes = Uint8Array.from([...parseHex(`${code}00`, 'test'), ...rest])
        const result = codeOf(() => {
          expect(formatDigitallySigned(parseDigitallySigned(bytes))).toEqual(bytes)
        })
        if (result !== undefined) expect(result).toBe('malformed')
      }),
    )
  })
})

describe('get-sth answers', () => {
  const good = formatGetSth(signer.sign(head))

  test('ignore unknown fields', () => {
    expect(formatGetSth(parseGetSth({ ...good, extra: 1 }))).toEqual(good)
  })

  test.each([
    ['no object', null],
    ['a text', 'x'],
    ['an array', [1]],
    ['a size as text', { ...good, tree_size: '7' }],
    ['a negative size', { ...good, tree_size: -1 }],
    ['half a leaf', { ...good, tree_size: 0.5 }],
    ['no timestamp', { ...good, timestamp: undefined }],
    ['a short root', { ...good, sha256_root_hash: 'AQ==' }],
    ['a root in hex', { ...good, sha256_root_hash: 'zz' }],
    ['no signature', { ...good, tree_head_signature: null }],
  ])('%s is malformed', (_, answer) => {
    expectCode(() => parseGetSth(answer), 'malformed')
  })

  test('a size that a number cannot hold is out of range', () => {
    expectCode(() => parseGetSth({ ...good, tree_size: 2 ** 53 }), 'out_of_range')
  })

  test('any JSON gives a documented code', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (answer) => {
        expectCode(() => parseGetSth(answer), 'malformed', 'out_of_range')
      }),
    )
  })
})
