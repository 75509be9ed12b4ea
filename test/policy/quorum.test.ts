import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SteleError } from '../../src/errors.ts'
import { KEY_TYPE } from '../../src/note/key-id.ts'
import { verifierKey } from '../../src/note/key.ts'
import { formatPolicy } from '../../src/policy/format.ts'
import { encodeItem } from '../../src/policy/octets.ts'
import { parsePolicy } from '../../src/policy/parse.ts'
import type { Policy } from '../../src/policy/policy.ts'
import { describeMissing, evaluateQuorum } from '../../src/policy/quorum.ts'
import { expectCode } from '../note/expect-code.ts'
import { logKey, ML_DSA, plain, vkey, witness } from './fixture.ts'

const KEYS = Array.from({ length: 10 }, (_, n) => witness(n))
const WITNESSES = KEYS.map((key, n) => `witness w${n} ${vkey(key)}\n`).join('')

function missing(policy: Policy, by: readonly number[]): string {
  const quorum = evaluateQuorum(
    policy,
    by.map((n) => KEYS[n]!.verifier),
  )
  return quorum.met ? 'met' : describeMissing(quorum.missing)
}

describe('a quorum', () => {
  const nested = parsePolicy(
    `${WITNESSES}group x 2 w0 w1 w2\ngroup y any w3 w4 w5\ngroup z all x y\nquorum z\n`,
  )

  test('of none is met by nobody', () => {
    expect(missing(parsePolicy(`${WITNESSES}quorum none\n`), [])).toBe('met')
  })

  test('of one witness is met by it alone', () => {
    const policy = parsePolicy(`${WITNESSES}quorum w3\n`)
    expect(missing(policy, [3])).toBe('met')
    expect(missing(policy, [0, 1, 2, 4, 5])).toBe('"w3"')
  })

  test('of nested groups says which groups and witnesses are missing', () => {
    expect(missing(nested, [0, 2, 5])).toBe('met')
    expect(missing(nested, [0, 1, 2])).toBe(
      '"z" has 1 of 2, without ("y" has 0 of 1, without "w3", "w4", "w5")',
    )
    expect(missing(nested, [1, 3])).toBe('"z" has 1 of 2, without ("x" has 1 of 2, without "w0", "w2")')
    expect(evaluateQuorum(nested, [KEYS[1]!.verifier])).toEqual({
      met: false,
      missing: {
        kind: 'group',
        name: 'z',
        threshold: 2,
        met: 0,
        missing: [
          {
            kind: 'group',
            name: 'x',
            threshold: 2,
            met: 1,
            missing: ['w0', 'w2'].map((name) => ({ kind: 'witness', name })),
          },
          {
            kind: 'group',
            name: 'y',
            threshold: 1,
            met: 0,
            missing: ['w3', 'w4', 'w5'].map((name) => ({ kind: 'witness', name })),
          },
        ],
      },
    })
  })

  test('is not met by one witness many times, nor by strangers', () => {
    const policy = parsePolicy(`${WITNESSES}group g 2 w0 w1 w2\nquorum g\n`)
    expect(missing(policy, [0, 0, 0])).toContain('has 1 of 2')
    const strangers = [witness(50), witness(51)].map(({ verifier }) => verifier)
    expect(evaluateQuorum(policy, strangers).met).toBe(false)
  })

  test('is not met by another key of the same name, nor by the same key of another name or type', () => {
    const policy = parsePolicy(`${WITNESSES}quorum w0\n`)
    const others = [
      witness(60, 4, KEYS[0]!.name),
      witness(0, ML_DSA, KEYS[0]!.name),
      witness(0, 4, 'w0'),
      { verifier: { ...KEYS[0]!.verifier, publicKey: KEYS[1]!.verifier.publicKey } },
      { verifier: verifierKey(KEYS[0]!.name, KEY_TYPE.ed25519, KEYS[0]!.verifier.publicKey) },
    ]
    for (const { verifier } of others) expect(evaluateQuorum(policy, [verifier]).met).toBe(false)
    // The key as it is, even if it was parsed elsewhere.
    expect(evaluateQuorum(policy, [{ ...KEYS[0]!.verifier }]).met).toBe(true)
  })

  test('shows a few of many', () => {
    const policy = parsePolicy(`${WITNESSES}group g all ${KEYS.map((_, n) => `w${n}`).join(' ')}\nquorum g\n`)
    expect(missing(policy, [9])).toContain('"w6", "w7", 1 more')
  })

  test('of a policy that nobody parsed is our bug, not met', () => {
    const sound = parsePolicy(`${WITNESSES}group g 2 w0 w1 w2\nquorum g\n`)
    const [group] = sound.groups
    for (const unsound of [
      { ...sound, quorum: 'x' },
      { ...sound, groups: [{ ...group!, threshold: 0 }] },
      { ...sound, groups: [{ ...group!, threshold: Number.NaN }] },
      { ...sound, groups: [{ ...group!, members: ['x', 'y'] }] },
      { ...sound, groups: [] },
    ]) {
      expectCode(() => evaluateQuorum(unsound, []), 'internal')
      expectCode(() => formatPolicy(unsound), 'malformed')
    }
  })
})

/** A policy over some of the witnesses, with groups of groups; a name is a member once at most. */
const policies: fc.Arbitrary<Policy> = fc
  .record({
    names: fc.uniqueArray(
      fc
        .oneof(
          fc.string({ unit: 'grapheme', minLength: 1, maxLength: 6 }),
          fc
            .uint8Array({ min: 0xf8, minLength: 1, maxLength: 4 }) // in no UTF-8
            .map((bytes) => Array.from(bytes, (byte) => String.fromCharCode(0xdc00 + byte)).join('')),
        )
        .filter((name) => name !== 'none' && isItem(name)),
      { minLength: 16, maxLength: 16 },
    ),
    witnesses: fc.subarray(KEYS, { minLength: 1 }),
    urls: fc.array(fc.option(fc.constant('https://é.example/'), { nil: undefined }), {
      minLength: 10,
      maxLength: 10,
    }),
    groups: fc.array(fc.tuple(fc.nat(), fc.array(fc.nat(), { minLength: 1, maxLength: 5 })), {
      maxLength: 6,
    }),
    quorum: fc.option(fc.nat(), { nil: undefined }),
  })
  .map(({ names, witnesses, urls, groups, quorum }) => {
    const listed = witnesses.map(({ verifier }, n) => ({
      name: names[n]!,
      key: verifier,
      ...(urls[n] === undefined ? {} : { url: urls[n] }),
    }))
    const defined = listed.map(({ name }) => name)
    const free = [...defined]
    const built = groups.flatMap(([k, picks], n) => {
      const members = picks.flatMap((pick) => free.splice(pick % Math.max(free.length, 1), 1))
      if (members.length === 0) return []
      const name = names[10 + n]!
      defined.push(name)
      free.push(name)
      return [{ name, threshold: 1 + (k % members.length), members }]
    })
    const logs = [{ key: logKey(1).verifier }, { key: logKey(2, 'b').verifier, url: 'https://b/' }]
    return {
      logs,
      witnesses: listed,
      groups: built,
      quorum: quorum === undefined ? 'none' : defined[quorum % defined.length]!,
    }
  })

function isItem(name: string): boolean {
  try {
    return !/[\0- \x7f]/.test(name) && encodeItem(name).length > 0
  } catch (error) {
    if (error instanceof SteleError) return false
    throw error
  }
}

test('any policy comes back from its octets, whatever its names are made of', () => {
  fc.assert(
    fc.property(policies, (policy) => {
      const octets = formatPolicy(policy)
      expect(plain(parsePolicy(octets))).toEqual(plain(policy))
      expect(formatPolicy(parsePolicy(octets))).toEqual(octets)
    }),
    { numRuns: 100 },
  )
})

test('what would not come back is not written', () => {
  const sound = parsePolicy(`${WITNESSES}quorum w0\n`)
  const renamed = (name: string) => ({
    ...sound,
    witnesses: [{ ...sound.witnesses[0]!, name }],
    quorum: name,
  })
  // The last are the octets of "é", which is how they would be read.
  for (const name of [
    '',
    ' ',
    'a b',
    'a\tb',
    'a\n',
    '\r',
    'none',
    '\ud800',
    'é\udcff',
    '\udc00',
    '\udcc3\udca9',
  ]) {
    expectCode(() => formatPolicy(renamed(name)), 'malformed')
  }
  expect(parsePolicy(formatPolicy(renamed('\udcc3'))).quorum).toBe('\udcc3')
  // With its blank, this member would be two.
  const group = { name: 'g', threshold: 1, members: ['w0 w1'] }
  expectCode(() => formatPolicy({ ...sound, groups: [group] }), 'malformed')
  const twice = [sound.witnesses[0]!, { ...sound.witnesses[0]!, name: 'other' }]
  expectCode(() => formatPolicy({ ...sound, witnesses: twice }), 'malformed')
})

test('comments, blanks and empty lines anywhere change nothing', () => {
  const noise = fc.constantFrom('\n', ' \t \n', '# quorum none\n', '\t#\u{1f600}\n')
  fc.assert(
    fc.property(policies, fc.array(noise, { minLength: 4, maxLength: 4 }), (policy, lines) => {
      const text = Buffer.from(formatPolicy(policy)).toString('latin1')
      const noisy = text
        .split('\n')
        .slice(0, -1)
        .map((line, i) => `${lines[i % 4]!}\t ${line.replaceAll(' ', ' \t')} \n`)
        .join('')
      const octets = Uint8Array.from(Buffer.from(noisy.replaceAll('\u{1f600}', 'x'), 'latin1'))
      expect(plain(parsePolicy(octets))).toEqual(plain(policy))
    }),
    { numRuns: 50 },
  )
})

test('the verdict is that of the definition, read as a recursion', () => {
  const isMet = (policy: Policy, name: string, by: ReadonlySet<string>): boolean => {
    const group = policy.groups.find((other) => other.name === name)
    if (group === undefined) return by.has(name)
    return group.members.filter((member) => isMet(policy, member, by)).length >= group.threshold
  }
  fc.assert(
    fc.property(policies, fc.subarray(KEYS), (policy, by) => {
      const verifiers = by.map(({ verifier }) => verifier)
      const names = policy.witnesses.filter(({ key }) => verifiers.includes(key)).map(({ name }) => name)
      const expected = policy.quorum === 'none' || isMet(policy, policy.quorum, new Set(names))
      const quorum = evaluateQuorum(policy, verifiers)
      expect(quorum.met).toBe(expected)
      if (quorum.met || quorum.missing.kind === 'witness') return
      // Enough of those that are named would meet it.
      expect(quorum.missing.missing.length).toBeGreaterThanOrEqual(
        quorum.missing.threshold - quorum.missing.met,
      )
      expect(quorum.missing.met).toBeLessThan(quorum.missing.threshold)
    }),
    { numRuns: 200 },
  )
})
