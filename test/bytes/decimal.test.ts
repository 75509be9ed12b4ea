import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseSize } from '../../src/bytes/decimal.ts'
import { codeOf, expectCode } from '../note/expect-code.ts'

const size = fc.oneof(fc.maxSafeNat(), fc.nat(), fc.integer({ min: 2 ** 53 - 1000, max: 2 ** 53 - 1 }))

describe('parseSize', () => {
  test('reads back every size that was written', () => {
    fc.assert(
      fc.property(size, (n) => {
        expect(parseSize(String(n), 'test')).toBe(n)
      }),
    )
    expect(parseSize('0', 'test')).toBe(0)
    expect(parseSize('9007199254740991', 'test')).toBe(2 ** 53 - 1)
  })

  test.each(['9007199254740992', '9007199254740993', '18446744073709551615', '1'.repeat(400)])(
    '%s is beyond what a number holds exactly',
    (text) => expectCode(() => parseSize(text, 'test'), 'out_of_range'),
  )

  test.each([
    '',
    '00',
    '01',
    '-0',
    '-1',
    '+1',
    ' 1',
    '1 ',
    '1\n',
    '1.0',
    '1e3',
    '0x10',
    '1_000',
    '1n',
    '١',
    'NaN',
  ])('%j is malformed', (text) => expectCode(() => parseSize(text, 'test'), 'malformed'))

  test('random text is refused, or is written again as it was', () => {
    const digits = fc.string({ unit: fc.constantFrom(...Array.from('0123456789')), maxLength: 25 })
    fc.assert(
      fc.property(fc.oneof(fc.string(), digits), (text) => {
        const code = codeOf(() => expect(String(parseSize(text, 'test'))).toBe(text))
        expect([undefined, 'malformed', 'out_of_range']).toContain(code)
      }),
    )
  })

  test('the error names the value and what came, cut short', () => {
    expect(() => parseSize('007', 'checkpoint line 2')).toThrow(
      'checkpoint line 2: expected a decimal number, got "007"',
    )
    expect(() => parseSize('x'.repeat(1000), 'test')).toThrow(/^.{0,100}$/)
  })
})
