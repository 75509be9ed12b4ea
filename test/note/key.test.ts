import { inspect } from 'node:util'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { toBase64 } from '../../src/bytes/base64.ts'
import { concatBytes } from '../../src/bytes/bytes.ts'
import { toHex } from '../../src/bytes/hex.ts'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import { formatKeyId, keyId } from '../../src/note/key-id.ts'
import {
  formatSigningKey,
  formatVerifierKey,
  generateSigningKey,
  parseSigningKey,
  parseVerifierKey,
  verifierKey,
} from '../../src/note/key.ts'
import { parseNote } from '../../src/note/note.ts'
import cosigned from '../vectors/cosigned-checkpoint-sunlight.json' with { type: 'json' }
import genKeys from '../vectors/gen-keys.json' with { type: 'json' }
import golangKeys from '../vectors/note-keys-golang.json' with { type: 'json' }
import testlog from '../vectors/tessera-testlog.json' with { type: 'json' }
import formatsKeys from '../vectors/vkeys-formats.json' with { type: 'json' }
import { CHECKPOINT_7, LOG_SKEY, LOG_VKEY, SEED, TEXT_7, WITNESS_VKEY } from './example.ts'
import { codeOf, expectCode } from './expect-code.ts'

describe('vectors', () => {
  const readers: Record<string, (text: string) => string> = {
    vkey: (text) => formatVerifierKey(parseVerifierKey(text)),
    skey: (text) => formatSigningKey(parseSigningKey(text)),
  }
  const all = [
    ...genKeys.cases,
    ...golangKeys.cases,
    ...formatsKeys.cases.map((c) => ({ ...c, kind: 'vkey', value: c.vkey })),
    ...cosigned.cases.flatMap((c) => c.vkeys).map((value) => ({ kind: 'vkey', value, expect: 'accept' })),
  ]

  test.each(all)('$kind $value is read as the vector says', ({ kind, value, expect: verdict }) => {
    const reader = readers[kind]!
    if (verdict === 'accept') expect(reader(value)).toBe(value)
    else expectCode(() => reader(value), 'malformed')
  })

  test('the fields of a verifier key are what the vectors say', () => {
    for (const c of genKeys.cases) {
      if (c.public_key_hex === undefined) continue
      const { name, id, type, publicKey } = parseVerifierKey(c.value)
      expect([name, formatKeyId(id), type, toHex(publicKey)]).toEqual([
        c.name,
        c.key_id_hex,
        c.type,
        c.public_key_hex,
      ])
    }
  })

  test('a signing key knows its verifier key', () => {
    for (const c of genKeys.cases) {
      if (c.vkey !== undefined) expect(formatVerifierKey(parseSigningKey(c.value).verifier)).toBe(c.vkey)
    }
    const { verifier } = parseSigningKey(testlog.skey_used_by_the_tests)
    expect(formatVerifierKey(verifier)).toBe(testlog.vkey)
  })
})

describe('the published example', () => {
  test('seed, signing key and verifier key belong together', () => {
    const key = generateSigningKey('log.example/demo', SEED)
    expect(formatSigningKey(key)).toBe(LOG_SKEY)
    expect(formatVerifierKey(key.verifier)).toBe(LOG_VKEY)
    expect(toHex(key.verifier.publicKey)).toBe(
      '03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8',
    )
  })

  test('its base64 contains a plus sign, and is not cut there', () => {
    expect(LOG_VKEY.split('+').length).toBeGreaterThan(3)
    expect(formatVerifierKey(parseVerifierKey(LOG_VKEY))).toBe(LOG_VKEY)
  })

  test('the witness key is read, and verifies the line of the witness', () => {
    const key = parseVerifierKey(WITNESS_VKEY)
    expect(formatVerifierKey(key)).toBe(WITNESS_VKEY)
    const [, line] = parseNote(CHECKPOINT_7).signatures
    expect(key.verify(TEXT_7, line!.signature)).toBe(true)
    expect(key.verify('text\n', line!.signature)).toBe(false)
    expect(key.verify(TEXT_7, new Uint8Array(72))).toBe(false)
  })
})

describe('verifier keys that are refused', () => {
  const small = new Uint8Array(32)
  small[0] = 1
  const bytes = (type: number, key: Uint8Array) => concatBytes(Uint8Array.of(type), key)

  test('Ed25519 of small order, even with the right ID, for logs and for cosigners', () => {
    for (const type of [1, 4] as const) {
      const id = formatKeyId(keyId('x', type, small))
      expectCode(() => parseVerifierKey(`x+${id}+${toBase64(bytes(type, small))}`), 'malformed')
    }
  })

  test('a key ID in upper case, or missing', () => {
    expectCode(() => parseVerifierKey(LOG_VKEY.replace('607616de', '607616DE')), 'malformed')
    expectCode(() => parseVerifierKey('log.example/demo'), 'malformed')
    expectCode(() => parseVerifierKey('log.example/demo+607616de'), 'malformed')
    expectCode(() => parseVerifierKey('log.example/demo+607616de+'), 'malformed')
    expectCode(() => parseVerifierKey(''), 'malformed')
  })

  test('no name', () => {
    const key = generateSigningKey('x', SEED).verifier.publicKey
    expectCode(() => verifierKey('', 1, key), 'malformed')
    const id = formatKeyId(keyId('', 1, key))
    expectCode(() => parseVerifierKey(`+${id}+${toBase64(bytes(1, key))}`), 'malformed')
  })

  test('ECDSA on something else than P-256', () => {
    expectCode(() => verifierKey('x', 2, new Uint8Array(91)), 'malformed')
    expectCode(() => verifierKey('x', 5, SEED), 'malformed')
  })

  test('an ML-DSA-44 key of another length', () => {
    expectCode(() => verifierKey('x', 6, new Uint8Array(1311)), 'malformed')
    expect(verifierKey('x', 6, new Uint8Array(1312)).type).toBe(6)
  })

  test('an ML-DSA-44 key with a name that does not fit into what it signs', () => {
    const longest = 'é'.repeat(127) + 'x'
    expect(verifierKey(longest, 6, new Uint8Array(1312)).name).toBe(longest)
    expectCode(() => verifierKey(`${longest}x`, 6, new Uint8Array(1312)), 'malformed')
    expect(verifierKey('x'.repeat(256), 4, parseVerifierKey(WITNESS_VKEY).publicKey).type).toBe(4)
  })

  test('a private key in the place of a public one, without quoting it', () => {
    let shown = ''
    try {
      parseVerifierKey(LOG_SKEY.replace('log.example/demo', 'x'))
    } catch (error) {
      shown = inspect(error)
    }
    expect(shown).toContain('expected a public key, got a private one')
    expect(shown).not.toContain('AQABAg')
  })
})

describe('secrets', () => {
  const seedBase64 = LOG_SKEY.slice(-44)

  test('do not show when a signing key is printed or serialised', () => {
    const key = parseSigningKey(LOG_SKEY)
    const shown = `${inspect(key, { depth: 9, showHidden: true })} ${JSON.stringify(key)}`
    expect(shown).not.toContain(seedBase64.slice(4, 20))
    expect(shown).not.toContain(toHex(SEED))
    expect(shown).not.toContain('"30":30')
    expect(shown).not.toMatch(/\b4,\s+5,\s+6,\s+7,\s+8,\s+9,\s+10\b/)
  })

  test.each([
    LOG_SKEY.replace('607616de', '607616df'),
    LOG_SKEY.slice(0, -1),
    `${LOG_SKEY}=`,
    LOG_SKEY.replace('+AQAB', '+AgAB'),
    LOG_SKEY.replace('PRIVATE+KEY+', ''),
    LOG_SKEY.replace('log.example', 'log example'),
    LOG_SKEY.replace('+607616de+', '+'),
  ])('are not repeated by the error about %s', (spoilt) => {
    let error: unknown
    try {
      parseSigningKey(spoilt)
    } catch (thrown) {
      error = thrown
    }
    expect(codeOf(() => parseSigningKey(spoilt))).toBe('malformed')
    const shown = inspect(error)
    for (let i = 4; i + 8 <= seedBase64.length; i++) expect(shown).not.toContain(seedBase64.slice(i, i + 8))
  })
})

test('a generated key is random, signs, and survives its text form', () => {
  const key = generateSigningKey('log.example/new')
  const again = parseSigningKey(formatSigningKey(key))
  const signature = again.sign(encodeUtf8('text\n'))
  expect(key.verifier.verify('text\n', signature)).toBe(true)
  expect(key.verifier.verify('other\n', signature)).toBe(false)
  expect(formatSigningKey(generateSigningKey('log.example/new'))).not.toBe(formatSigningKey(key))
})

test('changing the seed array afterwards does not change the key', () => {
  const seed = SEED.slice()
  const key = generateSigningKey('log.example/demo', seed)
  seed.fill(0)
  expect(formatSigningKey(key)).toBe(LOG_SKEY)
})

test('a seed of another length is refused', () => {
  expectCode(() => generateSigningKey('x', new Uint8Array(31)), 'malformed')
  expectCode(() => generateSigningKey('x', new Uint8Array(64)), 'malformed')
})

test('any name that is one, with any seed, survives the text form', () => {
  const name = fc
    .string({ unit: 'grapheme', minLength: 1 })
    .filter((text) => !/[\p{White_Space}\p{Cc}+]/u.test(text))
  const seed = fc.uint8Array({ minLength: 32, maxLength: 32 })
  fc.assert(
    fc.property(name, seed, (keyName, bytes) => {
      const key = generateSigningKey(keyName, bytes)
      expect(formatSigningKey(parseSigningKey(formatSigningKey(key)))).toBe(formatSigningKey(key))
      const vkey = formatVerifierKey(key.verifier)
      expect(formatVerifierKey(parseVerifierKey(vkey))).toBe(vkey)
    }),
    { numRuns: 30 },
  )
})

test('random text is refused as malformed, never in another way', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.nat(60), (text, at) => {
      const spliced = LOG_VKEY.slice(0, at) + text + LOG_VKEY.slice(at + text.length)
      for (const input of [text, spliced]) {
        const code = codeOf(() => parseVerifierKey(input))
        if (code !== undefined) expect(code).toBe('malformed')
      }
      expectCode(() => parseSigningKey(text), 'malformed')
    }),
  )
})
