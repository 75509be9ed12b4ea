import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { excerpt } from '../../src/bytes/excerpt.ts'
import { decodeUtf8, encodeUtf8 } from '../../src/bytes/text.ts'
import { codeOf, expectCode } from '../note/expect-code.ts'

describe('UTF-8', () => {
  test('reads back the text that was written', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(decodeUtf8(encodeUtf8(text), 'test')).toBe(text)
      }),
    )
  })

  test('keeps a byte order mark, so that two byte strings never read as the same text', () => {
    const marked = Uint8Array.of(0xef, 0xbb, 0xbf, 0x61)
    expect(decodeUtf8(marked, 'test')).toBe('\ufeffa')
    expect(encodeUtf8(decodeUtf8(marked, 'test'))).toEqual(marked)
  })

  test.each([
    ['a byte that begins nothing', [0xff]],
    ['a continuation on its own', [0x61, 0x80]],
    ['a sequence that is cut short', [0xe2, 0x80]],
    ['a longer spelling of NUL', [0xc0, 0x80]],
    ['half of a surrogate pair', [0xed, 0xa0, 0x80]],
    ['a code point above U+10FFFF', [0xf4, 0x90, 0x80, 0x80]],
  ])('%s is malformed', (_, bytes) => {
    expectCode(() => decodeUtf8(Uint8Array.from(bytes), 'test'), 'malformed')
  })

  test.each(['\ud800', 'a\udc00b', '\udc00\ud800'])('%j cannot be written', (text) => {
    expectCode(() => encodeUtf8(text), 'malformed')
  })

  test('random bytes are malformed, or are written again as they were', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 6 }), (bytes) => {
        const code = codeOf(() => expect(encodeUtf8(decodeUtf8(bytes, 'test'))).toEqual(bytes))
        expect([undefined, 'malformed']).toContain(code)
      }),
      { numRuns: 500 },
    )
  })

  test('random UTF-16 is malformed, or reads back', () => {
    const unit = fc.integer({ min: 0xd7f0, max: 0xe010 }).map((code) => String.fromCharCode(code))
    fc.assert(
      fc.property(fc.string({ unit }), (text) => {
        const code = codeOf(() => expect(decodeUtf8(encodeUtf8(text), 'test')).toBe(text))
        expect([undefined, 'malformed']).toContain(code)
      }),
    )
  })
})

describe('excerpt', () => {
  test('is quoted, with control characters escaped', () => {
    expect(excerpt('a"b\n\u001b[31m')).toBe('"a\\"b\\n\\u001b[31m"')
  })

  test('is short, whatever came, and one line', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 2000 }), (text) => {
        expect(excerpt(text)).toMatch(/^".{0,250}"$/)
      }),
    )
    expect(excerpt('x'.repeat(41))).toBe(`"${'x'.repeat(40)}…"`)
    expect(excerpt('x'.repeat(40))).toBe(`"${'x'.repeat(40)}"`)
  })
})
