import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  getUint16,
  getUint24,
  getUint32,
  getUint64,
  putUint16,
  putUint24,
  putUint32,
  putUint64,
} from '../../src/bytes/integer.ts'
import { codeOf, expectCode } from '../note/expect-code.ts'

const kinds = [
  { width: 2, put: putUint16, get: getUint16, max: 2 ** 16 - 1 },
  { width: 3, put: putUint24, get: getUint24, max: 2 ** 24 - 1 },
  { width: 4, put: putUint32, get: getUint32, max: 2 ** 32 - 1 },
  { width: 8, put: putUint64, get: getUint64, max: 2 ** 53 - 1 },
]

describe.each(kinds)('integers of $width bytes', ({ width, put, get, max }) => {
  test('are big-endian, and touch no byte beside their own', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.nat({ max: 5 }), (any, offset) => {
        const n = any % (max + 1)
        const bytes = new Uint8Array(offset + width + 2).fill(0xee)
        put(bytes, offset, n)
        const digits = BigInt(n)
          .toString(16)
          .padStart(2 * width, '0')
        const expected = Buffer.from(`${'ee'.repeat(offset)}${digits}eeee`, 'hex')
        expect(bytes).toEqual(new Uint8Array(expected))
        expect(get(bytes, offset, 'test')).toBe(n)
      }),
    )
  })

  test('reach from 0 to the largest value', () => {
    for (const n of [0, 1, 255, 256, max - 1, max]) {
      const bytes = new Uint8Array(width)
      put(bytes, 0, n)
      expect(get(bytes, 0, 'test')).toBe(n)
    }
  })

  test('a value that does not fit, and a place that is not there, are our own bug', () => {
    for (const n of [-1, max + 1, 0.5, NaN, Infinity]) {
      expectCode(() => put(new Uint8Array(width), 0, n), 'internal')
    }
    expectCode(() => put(new Uint8Array(width), 1, 0), 'internal')
    expectCode(() => put(new Uint8Array(width), -1, 0), 'internal')
  })

  test('are malformed when bytes are missing', () => {
    for (let length = 0; length < width; length++) {
      expectCode(() => get(new Uint8Array(length), 0, 'test'), 'malformed')
      expectCode(() => get(new Uint8Array(width), width - length, 'test'), 'malformed')
    }
  })

  test('random bytes are refused, or are written again as they were', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 10 }), (bytes) => {
        const code = codeOf(() => {
          const n = get(bytes, 0, 'test')
          const again = bytes.slice()
          put(again, 0, n)
          expect(again).toEqual(bytes)
        })
        expect([undefined, 'malformed', 'out_of_range']).toContain(code)
      }),
    )
  })
})

test('eight bytes beyond 2^53 - 1 are out of range, and never rounded back into it', () => {
  for (const n of [2n ** 53n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n]) {
    const bytes = new Uint8Array(Buffer.from(n.toString(16).padStart(16, '0'), 'hex'))
    expectCode(() => getUint64(bytes, 0, 'test'), 'out_of_range')
  }
})
