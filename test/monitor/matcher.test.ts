import { describe, expect, it } from 'vitest'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import { createMatcher, MatchBudget, type MatcherSpec, type RegexVerdict } from '../../src/monitor/matcher.ts'
import { pretending } from './stage.ts'

const test = (spec: MatcherSpec, ...entries: (string | Uint8Array)[]): Promise<RegexVerdict[]> =>
  createMatcher(spec).test(
    entries.map((entry) => (typeof entry === 'string' ? encodeUtf8(entry) : entry)),
    new MatchBudget(1000),
  )

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

  it('ends an expression that would take years', async () => {
    const verdicts = await test({ regex: '^(a+)+$' }, `${'a'.repeat(60)}b`)
    expect(verdicts).toEqual(['slow'])
  })

  it('says of the entry that takes too long, and of no other, that it does not know', async () => {
    const { runner } = pretending()
    const matcher = createMatcher({ regex: 'x' }, { runner, limitMs: 100 })
    const entries = ['a!', 'slow 101', 'b', 'slow 99!'].map(encodeUtf8)
    expect(await matcher.test(entries, new MatchBudget(1000))).toEqual([true, 'slow', false, true])
  })

  it('costs no more than its budget, however many entries are slow, and says which ones it did not look at', async () => {
    const { runner, runs } = pretending()
    const matcher = createMatcher({ regex: 'x' }, { runner, limitMs: 100 })
    const budget = new MatchBudget(1000)
    const hostile = Array.from({ length: 200 }, () => encodeUtf8('slow 5000'))
    const verdicts = await matcher.test(hostile, budget)
    expect([verdicts.filter((each) => each === 'slow').length, verdicts.at(-1)]).toEqual([11, 'skipped'])
    expect(runs).toHaveLength(12)
    expect(await matcher.test([encodeUtf8('a!')], budget)).toEqual(['skipped'])
    expect(runs).toHaveLength(12)
    expect(await matcher.test([encodeUtf8('a!')], new MatchBudget(1000))).toEqual([true])
  })

  it('is not charged for what an ordinary expression takes, however long the log', async () => {
    const { runner } = pretending()
    const matcher = createMatcher({ regex: 'x' }, { runner, limitMs: 100 })
    const budget = new MatchBudget(20)
    const bundle = ['slow 9!', 'b'].map(encodeUtf8)
    for (let i = 0; i < 10_000; i++) expect(await matcher.test(bundle, budget)).toEqual([true, false])
    // What is just below the limit each time is: else nobody would need to be slower than that.
    for (let i = 0; i < 3; i++) await matcher.test([encodeUtf8('slow 99')], budget)
    expect(await matcher.test(bundle, budget)).toEqual(['skipped', 'skipped'])
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
