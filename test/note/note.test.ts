import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseBase64 } from '../../src/bytes/base64.ts'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import { generateSigningKey, parseSigningKey, parseVerifierKey } from '../../src/note/key.ts'
import {
  formatNote,
  MAX_NOTE_BYTES,
  MAX_SIGNATURES,
  openNote,
  parseNote,
  signNote,
} from '../../src/note/note.ts'
import type { NoteSignature } from '../../src/note/note.ts'
import c2sp from '../vectors/c2sp-examples.json' with { type: 'json' }
import genNotes from '../vectors/gen-notes.json' with { type: 'json' }
import golangKeys from '../vectors/note-keys-golang.json' with { type: 'json' }
import golang from '../vectors/note-golang.json' with { type: 'json' }
import formats from '../vectors/notes-formats.json' with { type: 'json' }
import { CHECKPOINT_7, LOG_LINE, LOG_SKEY, LOG_VKEY, TEXT_7, WITNESS_LINE } from './example.ts'
import { codeOf, expectCode } from './expect-code.ts'

const log = parseVerifierKey(LOG_VKEY)
const signer = parseSigningKey(LOG_SKEY)
const GOOD_NOTE = `${TEXT_7}\n${LOG_LINE}`
const line = (name: string, id: number, ...signature: number[]): NoteSignature => ({
  name,
  id,
  signature: Uint8Array.from(signature),
})

describe('vectors', () => {
  // Two spellings of one signature would let anybody make a second note out of a first one.
  const pinned = new Map([['base64 with non-zero trailing bits', 'reject']])
  const cases = [...genNotes.cases, ...golang.cases, ...formats.cases].map((c) => ({
    ...c,
    verdict: c.expect === 'either' ? pinned.get(c.name) : c.expect,
  }))

  test.each(cases)('$name: $verdict', (c) => {
    const bytes = parseBase64(c.note_base64, 'vector')
    const open = () => openNote(bytes, c.vkeys.map(parseVerifierKey))
    if (c.verdict === 'reject') {
      expectCode(open, 'malformed', 'bad_signature', 'untrusted_signer')
      return
    }
    expect(c.verdict).toBe('accept')
    const note = open()
    expect(note.verifiedBy.map((key) => key.name)).toEqual(c.verified)
    expect(note.signatures.map(({ name }) => name)).toEqual(c.verified)
    if ('text' in c) expect(note.text).toBe(c.text)
    const unknown =
      'unverified' in c ? c.unverified : 'unknown_signatures' in c ? c.unknown_signatures : undefined
    if (unknown !== undefined) expect(note.unverified).toHaveLength(unknown)
    expect(encodeUtf8(formatNote(parseNote(bytes)))).toEqual(bytes)
  })

  test('the codes tell a broken note, a bad signature and an unknown signer apart', () => {
    const code = (name: string) => {
      const c = cases.find((candidate) => candidate.name === name)!
      return codeOf(() => openNote(parseBase64(c.note_base64, 'vector'), c.vkeys.map(parseVerifierKey)))
    }
    expect(code('overlong UTF-8')).toBe('malformed')
    expect(code('101 signatures, unknown')).toBe('malformed')
    expect(code('bad known signature next to a good one')).toBe('bad_signature')
    expect(code('signed without the final newline')).toBe('bad_signature')
    expect(code('only unknown signatures')).toBe('untrusted_signer')
    expect(code('Ed25519 key ID made without the newline')).toBe('untrusted_signer')
    expect(code('Rekor note against a key with another name')).toBe('untrusted_signer')
  })

  test('the example of the signed-note specification verifies', () => {
    const { note, vkey } = c2sp.cases[0]!
    expect(openNote(note!, [parseVerifierKey(vkey!)]).text).toBe('This is an example message.\n')
  })

  test('signing gives the note of the Go tests', async () => {
    for (const c of golangKeys.signing) {
      expect(await signNote(c.text, [parseSigningKey(c.skey)])).toBe(c.signed_note)
    }
  })
})

describe('reading', () => {
  test('text and bytes give the same note', () => {
    expect(parseNote(encodeUtf8(CHECKPOINT_7))).toEqual(parseNote(CHECKPOINT_7))
    expect(formatNote(parseNote(CHECKPOINT_7))).toBe(CHECKPOINT_7)
  })

  test('the last empty line separates, not the first', () => {
    const { text } = parseNote(`a\n\nb\n\n\n${LOG_LINE}`)
    expect(text).toBe('a\n\nb\n\n')
  })

  test.each([
    ['CRLF', GOOD_NOTE.replaceAll('\n', '\r\n')],
    ['CR in the text', GOOD_NOTE.replace('7', '7\r')],
    ['NUL', GOOD_NOTE.replace('7', '\0')],
    ['tab', GOOD_NOTE.replace('7', '\t')],
    ['half a surrogate pair', GOOD_NOTE.replace('7', '\ud800')],
    ['an empty line at the end', `${GOOD_NOTE}\n`],
    ['no empty line', GOOD_NOTE.replace('\n\n', '\n')],
    ['no signature', `${TEXT_7}\n`],
    ['no dash', GOOD_NOTE.replace('— ', '')],
    ['a hyphen', GOOD_NOTE.replace('— ', '- ')],
    ['a no-break space behind the dash', GOOD_NOTE.replace('— ', '—\u00a0')],
    ['a space in front of the dash', GOOD_NOTE.replace('— ', ' — ')],
    ['two spaces behind the dash', GOOD_NOTE.replace('— ', '—  ')],
    ['a space at the end', GOOD_NOTE.replace(/\n$/, ' \n')],
    ['base64 of the url alphabet', GOOD_NOTE.replace('YHYW3hi+', 'YHYW3hi-')],
    ['a signature of no byte', `${TEXT_7}\n— x AQIDBA==\n`],
    ['nothing but a name', `${TEXT_7}\n— x\n`],
    ['nothing behind the name', `${TEXT_7}\n— x \n`],
  ])('%s is malformed, as text and as bytes', (_, note) => {
    expectCode(() => parseNote(note), 'malformed')
    if (!/\p{Surrogate}/u.test(note)) expectCode(() => parseNote(encodeUtf8(note)), 'malformed')
  })

  test('a byte order mark is part of the text, not dropped', () => {
    expect(parseNote(encodeUtf8(`\ufeff${GOOD_NOTE}`)).text).toBe(`\ufeff${TEXT_7}`)
    expectCode(() => openNote(`\ufeff${GOOD_NOTE}`, [log]), 'bad_signature')
  })

  test('a UTF-8 surrogate is malformed', () => {
    const bytes = encodeUtf8(GOOD_NOTE.replace('7', '\u{10000}'))
    const at = bytes.indexOf(0xf0)
    bytes.set([0xed, 0xa0, 0x80, 0x61], at)
    expectCode(() => parseNote(bytes), 'malformed')
  })

  test('sixteen signatures of 5 kB are read, and one hundred', () => {
    const big = Array.from({ length: MAX_SIGNATURES }, (_, i) => ({
      name: `w${i}`,
      id: i,
      signature: new Uint8Array(5000).fill(i),
    }))
    for (const signatures of [big.slice(0, 16), big]) {
      const note = formatNote({ text: TEXT_7, signatures })
      expect(parseNote(note)).toEqual({ text: TEXT_7, signatures })
    }
  })

  test('more signatures or bytes than the limits are malformed', () => {
    const many = `${TEXT_7}\n${LOG_LINE.repeat(MAX_SIGNATURES + 1)}`
    expectCode(() => parseNote(many), 'malformed')
    const room = MAX_NOTE_BYTES - 2 - encodeUtf8(LOG_LINE).length
    const longest = `${'a'.repeat(room)}\n\n${LOG_LINE}`
    expect(parseNote(longest).signatures).toHaveLength(1)
    expectCode(() => parseNote(`a${longest}`), 'malformed')
    expectCode(() => parseNote(encodeUtf8(`a${longest}`)), 'malformed')
    // The limit counts bytes, so that text and bytes have one verdict.
    expectCode(() => parseNote(longest.replace('a', 'é')), 'malformed')
  })
})

describe('opening', () => {
  const other = generateSigningKey('other.example', new Uint8Array(32).fill(9))

  test('gives the verified lines with their keys, and the rest apart', () => {
    const note = openNote(CHECKPOINT_7, [log])
    expect(note.text).toBe(TEXT_7)
    expect(note.verifiedBy).toEqual([log])
    expect(note.signatures.map(({ name }) => name)).toEqual(['log.example/demo'])
    expect(note.unverified.map(({ name }) => name)).toEqual(['witness.example/w1'])
  })

  test('matches a key by name and key ID, never by one of them', async () => {
    const sameName = { ...log, id: log.id + 1 }
    const sameId = { ...log, name: 'log.example/other' }
    expectCode(() => openNote(GOOD_NOTE, [sameName, sameId]), 'untrusted_signer')
    const mixed = await signNote(
      TEXT_7,
      [other],
      [
        { ...parseNote(GOOD_NOTE).signatures[0]!, id: 1 },
        { ...parseNote(GOOD_NOTE).signatures[0]!, name: 'x' },
      ],
    )
    expect(openNote(mixed, [log, other.verifier]).verifiedBy).toEqual([other.verifier])
  })

  test('one bad signature by a trusted key condemns the note, wherever it stands', async () => {
    const bad = line(log.name, log.id, ...new Uint8Array(64))
    for (const signatures of [
      [bad, ...parseNote(await signNote(TEXT_7, [other])).signatures],
      [...parseNote(await signNote(TEXT_7, [other])).signatures, bad],
    ]) {
      expectCode(() => openNote({ text: TEXT_7, signatures }, [log, other.verifier]), 'bad_signature')
      expect(openNote({ text: TEXT_7, signatures }, [other.verifier]).unverified).toEqual([bad])
    }
  })

  test('a further line by a key already seen is skipped', () => {
    const bad = line(log.name, log.id, 1)
    const [good] = parseNote(GOOD_NOTE).signatures
    const opened = openNote({ text: TEXT_7, signatures: [good!, bad, good!] }, [log])
    expect([opened.signatures, opened.unverified]).toEqual([[good], []])
    expectCode(() => openNote({ text: TEXT_7, signatures: [bad, good!] }, [log]), 'bad_signature')
  })

  test('two trusted keys of one name and ID are refused when met, and only then', () => {
    expectCode(() => openNote(GOOD_NOTE, [log, { ...log }]), 'untrusted_signer')
    expect(openNote(GOOD_NOTE, [log, other.verifier, other.verifier]).verifiedBy).toEqual([log])
  })

  test('without keys nothing is opened', () => {
    expectCode(() => openNote(GOOD_NOTE, []), 'untrusted_signer')
  })

  test('a changed byte of the text is noticed', () => {
    expectCode(() => openNote(GOOD_NOTE.replace('\n7\n', '\n8\n'), [log]), 'bad_signature')
  })
})

describe('signing', () => {
  const cosigner = { name: 'w.example', id: 7, sign: async () => Uint8Array.of(1, 2, 3) }

  test('gives the published example', async () => {
    expect(await signNote(TEXT_7, [signer])).toBe(GOOD_NOTE)
  })

  test('keeps the lines of others, replaces its own, and appends', async () => {
    const existing = [line('a', 1, 1), line(signer.name, signer.id, 9), line(signer.name, 2, 2)]
    const note = parseNote(await signNote(TEXT_7, [signer, cosigner], existing))
    const [ours] = parseNote(GOOD_NOTE).signatures
    expect(note).toEqual({
      text: TEXT_7,
      signatures: [existing[0], existing[2], ours, line('w.example', 7, 1, 2, 3)],
    })
  })

  test('adds a cosignature to a note without touching it', async () => {
    const { text, signatures } = parseNote(CHECKPOINT_7)
    expect(await signNote(text, [signer], signatures)).toBe(`${TEXT_7}\n${WITNESS_LINE}${LOG_LINE}`)
  })

  test('hands every signer the text with its last line feed', async () => {
    const seen: Uint8Array[] = []
    const spy = {
      ...cosigner,
      sign(message: Uint8Array) {
        seen.push(message)
        return Uint8Array.of(1)
      },
    }
    await signNote('é\n', [spy])
    expect(seen).toEqual([Uint8Array.of(0xc3, 0xa9, 0x0a)])
  })

  test('signs nothing that no note can hold', async () => {
    const never = { ...cosigner, sign: () => expect.unreachable('must not sign') }
    for (const text of ['', 'no line feed', 'a\tb\n', 'a\r\n', '\ud800\n', 'a\n'.repeat(MAX_NOTE_BYTES)]) {
      await expect(signNote(text, [never])).rejects.toMatchObject({ code: 'malformed' })
    }
  })

  test('passes on what a signer throws', async () => {
    const failing = { ...cosigner, sign: () => Promise.reject(new Error('no HSM')) }
    await expect(signNote(TEXT_7, [signer, failing])).rejects.toThrow('no HSM')
  })

  test('refuses one signer twice, no signer at all, a bad name, and an empty signature', async () => {
    const reject = async (code: string, signers: Parameters<typeof signNote>[1]) =>
      await expect(signNote(TEXT_7, signers)).rejects.toMatchObject({ code })
    await reject('usage', [signer, signer])
    await reject('malformed', [])
    await reject('malformed', [{ ...cosigner, name: 'a b' }])
    await reject('malformed', [{ ...cosigner, sign: () => new Uint8Array(0) }])
  })
})

describe('for any input', () => {
  const name = fc
    .string({ unit: 'grapheme', minLength: 1 })
    .filter((text) => !/[\p{White_Space}\p{Cc}+]/u.test(text))
  const signature = fc.record({
    name,
    id: fc.nat(0xffffffff),
    signature: fc.uint8Array({ minLength: 1, maxLength: 80 }),
  })
  const text = fc
    .array(
      fc.string({ unit: 'grapheme' }).filter((part) => encodeUtf8(part).every((byte) => byte >= 0x20)),
      { minLength: 1 },
    )
    .map((lines) => `${lines.join('\n')}\n`)

  test('a note that was written is read back the same', () => {
    fc.assert(
      fc.property(text, fc.array(signature, { minLength: 1, maxLength: 5 }), (noteText, signatures) => {
        const note = { text: noteText, signatures }
        expect(parseNote(formatNote(note))).toEqual(note)
        expect(parseNote(encodeUtf8(formatNote(note)))).toEqual(note)
      }),
    )
  })

  test('bytes are malformed or read back the same', () => {
    const piece = fc.oneof(
      fc.constantFrom('\n', '\n\n', '— ', ' ', 'x', 'AQIDBAU=', '\n— x AQIDBAU=\n', LOG_LINE, TEXT_7),
      fc.uint8Array({ maxLength: 4 }),
    )
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        const bytes = Uint8Array.from(pieces.flatMap((p) => [...(typeof p === 'string' ? encodeUtf8(p) : p)]))
        const code = codeOf(() => {
          expect(encodeUtf8(formatNote(parseNote(bytes)))).toEqual(bytes)
        })
        if (code !== undefined) expect(code).toBe('malformed')
        const opened = codeOf(() => openNote(bytes, [log]))
        if (opened !== undefined) expect(['malformed', 'bad_signature', 'untrusted_signer']).toContain(opened)
      }),
      { numRuns: 500 },
    )
  })
})
