import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseBase64, toBase64 } from '../../src/bytes/base64.ts'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import { codeOf, expectCode } from '../note/expect-code.ts'

describe('base64', () => {
  // RFC 4648 section 10.
  test.each([
    ['', ''],
    ['f', 'Zg=='],
    ['fo', 'Zm8='],
    ['foo', 'Zm9v'],
    ['foob', 'Zm9vYg=='],
    ['fooba', 'Zm9vYmE='],
    ['foobar', 'Zm9vYmFy'],
  ])('%j is written as %j', (text, base64) => {
    expect(toBase64(encodeUtf8(text))).toBe(base64)
    expect(parseBase64(base64, 'test')).toEqual(encodeUtf8(text))
  })

  test('is what Node writes, and reads back as the bytes that were written', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const text = toBase64(bytes)
        expect(text).toBe(Buffer.from(bytes).toString('base64'))
        expect(parseBase64(text, 'test')).toEqual(bytes)
      }),
    )
  })

  test.each([
    ['no padding', 'Zg'],
    ['half of the padding', 'Zg='],
    ['too much padding', 'Zg==='],
    ['nothing but padding', '===='],
    ['padding in the middle', 'Zg==Zm8='],
    ['a single digit in a group', 'A==='],
    ['padding before a digit', 'Z=g='],
    ['bits left over behind one byte', 'Zh=='],
    ['bits left over behind two bytes', 'Zm9='],
    ['the url alphabet', '__-_'],
    ['a space', 'Zm 9'],
    ['a line break at the end', 'Zm9v\n'],
    ['a line break instead of a digit', 'Zm9\n'],
    ['a digit that is not ASCII', 'Zm9é'],
    ['a digit beyond one byte, whose low byte is in the alphabet', 'Zm9\u0141'],
  ])('%s is malformed', (_, text) => expectCode(() => parseBase64(text, 'test'), 'malformed'))

  test('a hash has exactly one spelling', () => {
    const text = 'gYUzhjibHpMWpIpvJtex5i7OQKT/xxhLNm6N9ibtbPU='
    // U has its two lowest bits zero; these three differ from it in nothing else.
    for (const last of 'VWX') {
      expectCode(() => parseBase64(`${text.slice(0, -2)}${last}=`, 'test'), 'malformed')
    }
  })

  test('random text is malformed, or is written again as it was', () => {
    const unit = fc.constantFrom(...Array.from('ABCDwxyz0189+/=='))
    const text = fc.oneof(fc.string(), fc.string({ unit }), fc.string({ unit, minLength: 4, maxLength: 4 }))
    fc.assert(
      fc.property(text, (text) => {
        const code = codeOf(() => expect(toBase64(parseBase64(text, 'test'))).toBe(text))
        expect([undefined, 'malformed']).toContain(code)
      }),
      { numRuns: 500 },
    )
  })
})
