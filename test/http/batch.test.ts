import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { batchParser, ENTRY_BUNDLE, isBatchType, NDJSON } from '../../src/http/batch.ts'
import { encodeBundle } from '../../src/tile/bundle.ts'
import { codeOf } from '../note/expect-code.ts'

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

/** Parses a batch that arrives in pieces of the given lengths, over and over. */
function parse(type: string, bytes: Uint8Array, lengths: readonly number[] = [65_536], max = 100): string[] {
  const parser = batchParser(type, max)
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const length = lengths[i % lengths.length]!
    parser.push(bytes.subarray(at, at + length))
    at += length
  }
  return parser.end().map((entry) => Buffer.from(entry).toString('latin1'))
}

const lengths = fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 10 })

describe('lines', () => {
  test('each is an entry without its line feed, the last one with or without it', () => {
    expect(parse(NDJSON, utf8('{"a":1}\n{"b":2}\n'))).toEqual(['{"a":1}', '{"b":2}'])
    expect(parse(NDJSON, utf8('{"a":1}\n{"b":2}'))).toEqual(['{"a":1}', '{"b":2}'])
  })

  test('a carriage return is part of the entry', () => {
    expect(parse(NDJSON, utf8('a\r\nb\r\n'))).toEqual(['a\r', 'b\r'])
  })

  test('a byte order mark before the first line is refused, however it arrives, and one elsewhere is part of its line', () => {
    for (const size of [1, 2, 100]) {
      expect(() => parse(NDJSON, utf8('\ufeffa\nb\n'), [size])).toThrow(/batch, line 1: .*byte order mark/)
    }
    expect(parse(NDJSON, utf8('a\n\ufeffb\n'))).toHaveLength(2)
    expect(parse(ENTRY_BUNDLE, encodeBundle([utf8('\ufeffa')]))).toHaveLength(1)
  })

  test('an empty line is refused by its number, wherever it stands', () => {
    expect(() => parse(NDJSON, utf8('a\n\nb\n'))).toThrow(
      'batch, line 2: expected an entry, got an empty line',
    )
    expect(() => parse(NDJSON, utf8('\na\n'))).toThrow('batch, line 1:')
    expect(() => parse(NDJSON, utf8('a\n\n'))).toThrow('batch, line 2:')
  })

  test('they are the same however they are cut on their way', () => {
    const line = fc.string({ minLength: 1, maxLength: 12 }).map((text) => text.replaceAll(/[^ -~]/g, 'x'))
    fc.assert(
      fc.property(fc.array(line, { minLength: 1, maxLength: 20 }), lengths, (lines, cuts) => {
        expect(parse(NDJSON, utf8(lines.join('\n')), cuts)).toEqual(lines)
        expect(parse(NDJSON, utf8(`${lines.join('\n')}\n`), cuts)).toEqual(lines)
      }),
    )
  })

  test('one of 65,535 bytes is taken, one of 65,536 refused by its number before it has come whole', () => {
    expect(parse(NDJSON, utf8(`a\n${'x'.repeat(65_535)}\n`), [1000]).map((line) => line.length)).toEqual([
      1, 65_535,
    ])
    expect(() => parse(NDJSON, utf8(`a\n${'x'.repeat(65_536)}\n`), [1000])).toThrow(
      'batch, line 2: expected at most 65535',
    )
    const parser = batchParser(NDJSON, 10)
    expect(codeOf(() => parser.push(new Uint8Array(65_536).fill(120)))).toBe('too_large')
  })
})

describe('entry bundles', () => {
  const bundle = fc.array(fc.uint8Array({ maxLength: 12 }), { minLength: 1, maxLength: 20 })

  test('they are the same however they are cut on their way, empty entries included', () => {
    fc.assert(
      fc.property(bundle, lengths, (entries, cuts) => {
        const expected = entries.map((entry) => Buffer.from(entry).toString('latin1'))
        expect(parse(ENTRY_BUNDLE, encodeBundle(entries), cuts)).toEqual(expected)
      }),
    )
  })

  test('a truncated one is refused by its entry', () => {
    const whole = encodeBundle([utf8('one'), utf8('two')])
    expect(() => parse(ENTRY_BUNDLE, whole.subarray(0, 9))).toThrow(
      'batch, entry 2: expected 3 bytes of its content',
    )
    expect(() => parse(ENTRY_BUNDLE, whole.subarray(0, 6))).toThrow(
      'batch, entry 2: expected 2 bytes of its length',
    )
  })
})

test('a batch without entries is refused', () => {
  for (const type of [NDJSON, ENTRY_BUNDLE]) {
    expect(codeOf(() => parse(type, new Uint8Array(0)))).toBe('malformed')
  }
})

test('a batch of too many entries is refused', () => {
  expect(parse(NDJSON, utf8('a\nb\nc'), [9], 3)).toHaveLength(3)
  expect(codeOf(() => parse(NDJSON, utf8('a\nb\nc\nd'), [9], 3))).toBe('too_large')
  expect(codeOf(() => parse(ENTRY_BUNDLE, encodeBundle(['a', 'b', 'c', 'd'].map(utf8)), [9], 3))).toBe(
    'too_large',
  )
})

test('content types are read without their parameters and in any case, and no other is a batch', () => {
  expect(isBatchType('Application/X-NDJSON; charset=utf-8')).toBe(true)
  expect(isBatchType('application/json')).toBe(false)
  expect(isBatchType(undefined)).toBe(false)
  expect(codeOf(() => batchParser('text/plain', 1))).toBe('unsupported_media_type')
  expect(codeOf(() => batchParser(undefined, 1))).toBe('unsupported_media_type')
})
