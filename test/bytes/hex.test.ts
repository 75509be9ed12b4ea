import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseHex, toHex } from '../../src/bytes/hex.ts'
import { codeOf, expectCode } from '../note/expect-code.ts'

describe('hex', () => {
  test('has two lower-case digits for each byte', () => {
    expect(toHex(Uint8Array.of(0, 1, 0x0f, 0x10, 0xab, 0xff))).toBe('00010f10abff')
    expect(toHex(new Uint8Array(0))).toBe('')
  })

  test('reads back the bytes that were written', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(parseHex(toHex(bytes), 'test')).toEqual(bytes)
      }),
    )
  })

  test.each(['0', 'abc', 'AB', 'aB', '0x00', ' 00', '00 ', '00\n', '0g', '+1', '-1', '１２', 'zz'])(
    '%j is malformed',
    (text) => expectCode(() => parseHex(text, 'test'), 'malformed'),
  )

  test('random text is malformed, or is written again as it was', () => {
    const text = fc.oneof(
      fc.string(),
      fc.string({ unit: fc.constantFrom(...Array.from('0123456789abcdefAF')) }),
    )
    fc.assert(
      fc.property(text, (text) => {
        const code = codeOf(() => expect(toHex(parseHex(text, 'test'))).toBe(text))
        expect([undefined, 'malformed']).toContain(code)
      }),
    )
  })

  test('the error names the value and what came', () => {
    expect(() => parseHex('xyz', 'leaf hash')).toThrow('leaf hash: expected lower-case hex, got "xyz"')
  })

  test('text of many millions of characters is read without running out of stack', () => {
    expect(parseHex('ab'.repeat(4_000_000), 'test')).toHaveLength(4_000_000)
  })
})
