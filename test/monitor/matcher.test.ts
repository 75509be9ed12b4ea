import { describe, expect, it } from 'vitest'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import { createMatcher, type MatcherSpec } from '../../src/monitor/matcher.ts'

const test = (spec: MatcherSpec, ...entries: (string | Uint8Array)[]): Promise<(boolean | undefined)[]> =>
  createMatcher(spec).test(entries.map((entry) => (typeof entry === 'string' ? encodeUtf8(entry) : entry)))

describe('a matcher', () => {
  it('finds a text in the bytes of an entry', async () => {
    expect(await test({ contains: 'é' }, 'café', 'cafe', Uint8Array.of(0xc3, 0xa9))).toEqual([
      true,
      false,
      true,
    ])
  })

  it('finds what matches an expression, with flags and around bytes that are no text', async () => {
    const entries = ['Acme', 'acme.', Uint8Array.of(0xff, 0x41, 0x63, 0x6d, 0x65)]
    expect(await test({ regex: '^acme$', flags: 'i' }, ...entries)).toEqual([true, false, false])
    expect(await test({ regex: 'Acme' }, ...entries)).toEqual([true, false, true])
  })

  it('finds a field of an entry that is JSON, and minds its type', async () => {
    const entries = ['{"a":{"b":[7]}}', '{"a":{"b":["7"]}}', '{"a":null}', 'a.b.0=7', '']
    expect(await test({ field: 'a.b.0', equals: 7 }, ...entries)).toEqual([true, false, false, false, false])
    expect(await test({ field: 'a', equals: null }, ...entries)).toEqual([false, false, true, false, false])
  })

  it('does not take what every object inherits for a field', async () => {
    expect(await test({ field: 'length', equals: 0 }, '[]', '""')).toEqual([true, false])
    expect(await test({ field: 'constructor.name', equals: 'Object' }, '{}')).toEqual([false])
  })

  it('ends an expression that would take years, and says so of that entry only', async () => {
    const matcher = createMatcher({ regex: '^(a+)+$' }, 20)
    const evil = `${'a'.repeat(60)}b`
    expect(await matcher.test([encodeUtf8('aaa'), encodeUtf8(evil), encodeUtf8('b')])).toEqual([
      true,
      undefined,
      false,
    ])
  })

  it('refuses what cannot be meant', () => {
    for (const spec of [
      { contains: '' },
      { regex: '(' },
      { regex: 'a', flags: 'g' },
      { regex: 'a', flags: 'ii' },
      { field: 'a..b', equals: 1 },
    ]) {
      expect(() => createMatcher(spec)).toThrow(expect.objectContaining({ code: 'usage' }) as Error)
    }
  })
})
