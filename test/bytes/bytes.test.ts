import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compareBytes, concatBytes, equalBytes } from '../../src/bytes/bytes.ts'

// Short ones of few values, so that equal ones and prefixes come up.
const few = fc.uint8Array({ maxLength: 3, max: 2 })
const bytes = fc.oneof(few, fc.uint8Array())

describe('bytes', () => {
  test('are in the order in which Node compares buffers', () => {
    fc.assert(
      fc.property(bytes, bytes, (a, b) => {
        expect(Math.sign(compareBytes(a, b))).toBe(Buffer.compare(a, b))
        expect(equalBytes(a, b)).toBe(Buffer.compare(a, b) === 0)
      }),
      { numRuns: 500 },
    )
  })

  test('a prefix comes before what it begins, and 0x80 after 0x7f', () => {
    expect(compareBytes(Uint8Array.of(1), Uint8Array.of(1, 0))).toBeLessThan(0)
    expect(compareBytes(Uint8Array.of(0x80), Uint8Array.of(0x7f, 9))).toBeGreaterThan(0)
  })

  test('are equal to a copy, and not when one bit differs', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1 }), fc.nat(), fc.nat({ max: 7 }), (bytes, at, bit) => {
        const other = bytes.slice()
        expect(equalBytes(bytes, other)).toBe(true)
        other[at % other.length]! ^= 1 << bit
        expect(equalBytes(bytes, other)).toBe(false)
      }),
    )
  })

  test('are joined in order, in an array of their own', () => {
    fc.assert(
      fc.property(fc.array(bytes), (parts) => {
        expect(concatBytes(...parts)).toEqual(new Uint8Array(Buffer.concat(parts)))
      }),
    )
    const only = Uint8Array.of(1, 2)
    const joined = concatBytes(only)
    joined[0] = 9
    expect(only).toEqual(Uint8Array.of(1, 2))
  })
})
