import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseHex, toHex } from '../../src/bytes/hex.ts'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import { decodeBundle, encodeBundle, MAX_ENTRY_BYTES } from '../../src/tile/bundle.ts'
import { codeOf, expectCode } from '../note/expect-code.ts'
import tessera from '../vectors/tile-paths-tessera.json' with { type: 'json' }

describe('entry bundles', () => {
  test('are the lengths and bytes of their entries, one after the other', () => {
    const entries = ['L0', '', 'L2'].map(encodeUtf8)
    expect(toHex(encodeBundle(entries))).toBe('00024c30000000024c32')
    expect(encodeBundle([])).toEqual(new Uint8Array(0))
  })

  test('read back the entries that were written', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 30 }), (entries) => {
        expect(decodeBundle(encodeBundle(entries))).toEqual(entries)
        expect(decodeBundle(encodeBundle(entries), entries.length)).toEqual(entries)
      }),
    )
  })

  test('hold entries of up to 65,535 bytes', () => {
    const longest = new Uint8Array(MAX_ENTRY_BYTES).fill(7)
    expect(decodeBundle(encodeBundle([longest, longest]), 2)).toEqual([longest, longest])
    expectCode(() => encodeBundle([new Uint8Array(MAX_ENTRY_BYTES + 1)]), 'too_large')
  })

  test('with fewer or more entries than expected are malformed', () => {
    const bundle = encodeBundle(['a', 'b', 'c'].map(encodeUtf8))
    for (const expected of [0, 2, 4]) expectCode(() => decodeBundle(bundle, expected), 'malformed')
    expectCode(() => decodeBundle(new Uint8Array(0), 1), 'malformed')
    expect(decodeBundle(new Uint8Array(0), 0)).toEqual([])
  })

  test('cut short anywhere but between entries are malformed', () => {
    const entries = ['ab', '', 'cde'].map(encodeUtf8)
    const bundle = encodeBundle(entries)
    const ends = new Set([0, 4, 6, bundle.length])
    for (let length = 0; length <= bundle.length; length++) {
      const code = codeOf(() => decodeBundle(bundle.slice(0, length)))
      expect(code).toBe(ends.has(length) ? undefined : 'malformed')
      expect(codeOf(() => decodeBundle(bundle.slice(0, length), 3))).toBe(
        length === bundle.length ? undefined : 'malformed',
      )
    }
  })

  test('of random bytes are malformed, or are written again as they were', () => {
    // Small numbers, so that some of them are whole.
    const bytes = fc.oneof(fc.uint8Array(), fc.uint8Array({ max: 2, maxLength: 8 }))
    fc.assert(
      fc.property(bytes, fc.option(fc.nat({ max: 3 }), { nil: undefined }), (bundle, expected) => {
        const code = codeOf(() => expect(encodeBundle(decodeBundle(bundle, expected))).toEqual(bundle))
        expect([undefined, 'malformed']).toContain(code)
      }),
      { numRuns: 500 },
    )
  })

  test.each(tessera.cases.filter((c) => c.op === 'parse-entry-bundle'))('Tessera reads $hex', (c) => {
    expect(c.expect).toBe('accept')
    const bundle = parseHex(c.hex!, 'vector')
    expect(encodeBundle(decodeBundle(bundle))).toEqual(bundle)
  })
})
