import { expect, test } from 'vitest'
import { parseBase64 } from '../../src/bytes/base64.ts'
import { formatTimestamped, parseTimestamped } from '../../src/note/timestamped.ts'
import cosignature from '../vectors/cosignature-timestamp-formats.json' with { type: 'json' }
import { expectCode } from './expect-code.ts'

test('the time of an Ed25519 cosignature is read', () => {
  for (const c of cosignature.cases) {
    // As it stands on the line, the key ID of 4 bytes comes first.
    const bytes = parseBase64(c.signature_base64, 'test').slice(4)
    const { timestamp, signature } = parseTimestamped(bytes, 'test')
    expect(String(timestamp)).toBe(c.timestamp)
    expect(signature).toHaveLength(64)
    expect(formatTimestamped({ timestamp, signature })).toEqual(bytes)
  }
})

test('too few bytes, or a time that a number cannot hold, are refused', () => {
  expectCode(() => parseTimestamped(new Uint8Array(7), 'test'), 'malformed')
  expectCode(() => parseTimestamped(new Uint8Array(72).fill(0x7f), 'test'), 'out_of_range')
})
