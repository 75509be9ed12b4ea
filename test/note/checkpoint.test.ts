import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseBase64, toBase64 } from '../../src/bytes/base64.ts'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import { asHash, EMPTY_ROOT } from '../../src/merkle/hash.ts'
import { formatCheckpoint, openCheckpoint, parseCheckpoint } from '../../src/note/checkpoint.ts'
import { parseSigningKey, parseVerifierKey } from '../../src/note/key.ts'
import { signNote } from '../../src/note/note.ts'
import formats from '../vectors/checkpoint-text-formats.json' with { type: 'json' }
import cosigned from '../vectors/cosigned-checkpoint-sunlight.json' with { type: 'json' }
import gen from '../vectors/gen-checkpoint-text.json' with { type: 'json' }
import testlog from '../vectors/tessera-testlog.json' with { type: 'json' }
import { CHECKPOINT_7, LOG_SKEY, LOG_VKEY, ROOT_7, TEXT_7, WITNESS_VKEY } from './example.ts'
import { codeOf, expectCode } from './expect-code.ts'

const log = parseVerifierKey(LOG_VKEY)
const signer = parseSigningKey(LOG_SKEY)
const origin = 'log.example/demo'
const root = asHash(parseBase64(ROOT_7, 'test'), 'test')

describe('vectors', () => {
  const pinned = new Map([
    // A witness answers this one with 422, not 400, so it must be readable. Opening it is refused, see below.
    ['empty tree with another root', 'accept'],
    // Beyond what a number holds exactly.
    ['size 2^63', 'reject'],
    // One root has one spelling: what is read must be what is written.
    ['non-canonical trailing bits', 'reject'],
  ])
  const cases = [...gen.cases, ...formats.cases].map((c) => ({
    ...c,
    verdict: c.expect === 'either' ? pinned.get(c.name) : c.expect,
  }))

  test.each(cases)('$name: $verdict', (c) => {
    if (c.verdict === 'reject') {
      expectCode(() => parseCheckpoint(c.text), c.name === 'size 2^63' ? 'out_of_range' : 'malformed')
      return
    }
    expect(c.verdict).toBe('accept')
    const checkpoint = parseCheckpoint(c.text)
    expect(formatCheckpoint(checkpoint)).toBe(c.text)
    if ('origin' in c && c.origin !== undefined) {
      expect({ ...checkpoint, size: String(checkpoint.size), root: toBase64(checkpoint.root) }).toEqual({
        origin: c.origin,
        size: c.size,
        root: c.root_base64,
        extensions: c.extensions,
      })
    }
  })

  test('the checkpoints of the Tessera test log open, and are signed to the same bytes', async () => {
    const verifiers = [parseVerifierKey(testlog.vkey)]
    const key = parseSigningKey(testlog.skey_used_by_the_tests)
    for (const c of testlog.cases) {
      const { checkpoint } = openCheckpoint(c.checkpoint, { origin: key.name, verifiers })
      expect(String(checkpoint.size)).toBe(c.size)
      expect(await signNote(formatCheckpoint(checkpoint), [key])).toBe(c.checkpoint)
    }
  })

  test('a checkpoint of a CT log opens by the key of type 0x05 of the log alone', () => {
    for (const c of cosigned.cases) {
      const [logKey, witnessKey] = c.vkeys.map(parseVerifierKey)
      const opened = openCheckpoint(c.note, { origin: c.origin, verifiers: [logKey!] })
      expect(opened.verifiedBy).toEqual([logKey])
      expect(opened.note.unverified.map(({ name, id }) => [name, id])).toEqual([
        [witnessKey!.name, witnessKey!.id],
      ])
    }
  })
})

describe('the published example', () => {
  test('opens', () => {
    const { checkpoint, note, verifiedBy } = openCheckpoint(encodeUtf8(CHECKPOINT_7), {
      origin,
      verifiers: [log],
    })
    expect(checkpoint).toEqual({ origin, size: 7, root, extensions: [] })
    expect(verifiedBy).toEqual([log])
    expect(note.text).toBe(TEXT_7)
    expect(note.unverified[0]).toMatchObject({
      name: 'witness.example/w1',
      id: parseVerifierKey(WITNESS_VKEY).id,
    })
  })

  test('is written, and signed to the same bytes', async () => {
    const text = formatCheckpoint({ origin, size: 7, root })
    expect(text).toBe(TEXT_7)
    expect(CHECKPOINT_7.startsWith(await signNote(text, [signer]))).toBe(true)
  })
})

describe('opening', () => {
  test('refuses another origin, by which key it may be signed', async () => {
    expectCode(
      () => openCheckpoint(CHECKPOINT_7, { origin: 'log.example/dem', verifiers: [log] }),
      'wrong_origin',
    )
    expectCode(() => openCheckpoint(CHECKPOINT_7, { origin: `${origin}/`, verifiers: [log] }), 'wrong_origin')
    expectCode(
      () => openCheckpoint(CHECKPOINT_7, { origin: 'LOG.example/demo', verifiers: [log] }),
      'wrong_origin',
    )
    const other = await signNote(formatCheckpoint({ origin: 'other', size: 7, root }), [signer])
    expectCode(() => openCheckpoint(other, { origin, verifiers: [log] }), 'wrong_origin')
  })

  test('compares the origin byte for byte, not after normalising', async () => {
    const [composed, decomposed] = ['caf\u00e9', 'cafe\u0301']
    const note = await signNote(formatCheckpoint({ origin: composed, size: 7, root }), [signer])
    expect(openCheckpoint(note, { origin: composed, verifiers: [log] }).checkpoint.origin).toBe(composed)
    expectCode(() => openCheckpoint(note, { origin: decomposed, verifiers: [log] }), 'wrong_origin')
  })

  test('tells an untrusted signer, a bad signature and a malformed text apart', async () => {
    expectCode(() => openCheckpoint(CHECKPOINT_7, { origin, verifiers: [] }), 'untrusted_signer')
    expectCode(
      () => openCheckpoint(CHECKPOINT_7.replace('\n7\n', '\n8\n'), { origin, verifiers: [log] }),
      'bad_signature',
    )
    const notACheckpoint = await signNote('hello\n', [signer])
    expectCode(() => openCheckpoint(notACheckpoint, { origin: 'hello', verifiers: [log] }), 'malformed')
    expectCode(() => openCheckpoint(TEXT_7, { origin, verifiers: [log] }), 'malformed')
  })

  test('refuses a signed size of 0 with a root other than the empty one', async () => {
    const bad = await signNote(formatCheckpoint({ origin, size: 0, root }), [signer])
    expectCode(() => openCheckpoint(bad, { origin, verifiers: [log] }), 'bad_proof')
    const good = await signNote(formatCheckpoint({ origin, size: 0, root: EMPTY_ROOT }), [signer])
    expect(openCheckpoint(good, { origin, verifiers: [log] }).checkpoint.size).toBe(0)
  })

  test('refuses a size that a number cannot hold', async () => {
    const big = await signNote(`${origin}\n9007199254740992\n${ROOT_7}\n`, [signer])
    expectCode(() => openCheckpoint(big, { origin, verifiers: [log] }), 'out_of_range')
    const most = await signNote(`${origin}\n9007199254740991\n${ROOT_7}\n`, [signer])
    expect(openCheckpoint(most, { origin, verifiers: [log] }).checkpoint.size).toBe(2 ** 53 - 1)
  })
})

test('extension lines are kept as they are', () => {
  const text = `${TEXT_7}a b\n— c\n`
  expect(parseCheckpoint(text).extensions).toEqual(['a b', '— c'])
  expect(formatCheckpoint(parseCheckpoint(text))).toBe(text)
})

test.each([
  ['an empty origin', { origin: '', size: 7, root }],
  ['an origin of two lines', { origin: 'a\nb', size: 7, root }],
  ['a control character in the origin', { origin: 'a\rb', size: 7, root }],
  ['half of a surrogate pair', { origin: 'a\ud800', size: 7, root }],
  ['an empty extension', { origin, size: 7, root, extensions: ['a', ''] }],
  ['an extension of two lines', { origin, size: 7, root, extensions: ['a\nb'] }],
  ['a negative size', { origin, size: -1, root }],
  ['half a leaf', { origin, size: 0.5, root }],
])('%s is not written', (_, checkpoint) => {
  expectCode(() => formatCheckpoint(checkpoint), 'malformed')
})

test('a size beyond 2^53 - 1 is not written', () => {
  expectCode(() => formatCheckpoint({ origin, size: 2 ** 53, root }), 'out_of_range')
})

test.each([
  ['no line feed at the end', TEXT_7.slice(0, -1)],
  ['an empty line at the end', `${TEXT_7}\n`],
  ['CRLF', TEXT_7.replaceAll('\n', '\r\n')],
  ['no origin', TEXT_7.slice(TEXT_7.indexOf('\n'))],
  ['a size in hex', TEXT_7.replace('7', '0x7')],
  ['nothing', ''],
  ['a line feed', '\n'],
])('%s is malformed', (_, text) => {
  expectCode(() => parseCheckpoint(text), 'malformed')
})

const oneLine = fc.string({ unit: 'grapheme', minLength: 1 }).filter((text) => !/\p{Cc}/u.test(text))

test('a checkpoint that was written is read back the same', () => {
  const checkpoints = fc.record({
    origin: oneLine,
    size: fc.maxSafeNat(),
    root: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => asHash(bytes, 'test')),
    extensions: fc.array(oneLine),
  })
  fc.assert(
    fc.property(checkpoints, (checkpoint) => {
      expect(parseCheckpoint(formatCheckpoint(checkpoint))).toEqual(checkpoint)
    }),
  )
})

test('random text is malformed or read back the same', () => {
  const piece = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('\n', '7', '10', ROOT_7, '\n\n', TEXT_7),
  )
  fc.assert(
    fc.property(fc.array(piece), (pieces) => {
      const text = pieces.join('')
      const code = codeOf(() => {
        expect(formatCheckpoint(parseCheckpoint(text))).toBe(text)
      })
      if (code !== undefined) expect(['malformed', 'out_of_range']).toContain(code)
    }),
    { numRuns: 500 },
  )
})
