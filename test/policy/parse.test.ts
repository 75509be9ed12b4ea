import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { concatBytes } from '../../src/bytes/bytes.ts'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import { treeHeadSigner } from '../../src/note/tree-head.ts'
import { generatePrivateKey } from '../../src/crypto/p256-node.ts'
import { KEY_TYPE } from '../../src/note/key-id.ts'
import { verifierKey } from '../../src/note/key.ts'
import { formatPolicy } from '../../src/policy/format.ts'
import { parsePolicy } from '../../src/policy/parse.ts'
import { MAX_DEFINITIONS, MAX_POLICY_BYTES } from '../../src/policy/policy.ts'
import { codeOf, expectCode } from '../note/expect-code.ts'
import { logKey, ML_DSA, plain, vkey, witness } from './fixture.ts'

const [W1, W2, W3] = [1, 2, 3].map((n) => vkey(witness(n)))
const LOG = vkey(logKey())
const THREE = `witness a ${W1}\nwitness b ${W2}\nwitness c ${W3}\n`

describe('a policy', () => {
  test('lists logs, witnesses and groups in any order that defines before it uses', () => {
    const text = `quorum none\nwitness a ${W1} https://a.example/\nlog ${LOG} https://log.example/\ngroup g any a\n`
    expect(plain(parsePolicy(text))).toEqual({
      logs: [{ vkey: LOG, url: 'https://log.example/' }],
      witnesses: [{ name: 'a', vkey: W1, url: 'https://a.example/' }],
      groups: [{ name: 'g', threshold: 1, members: ['a'] }],
      quorum: 'none',
    })
  })

  test('writes thresholds as any, all, or a number from 1 to as many as there are members', () => {
    const threshold = (k: string) =>
      parsePolicy(`${THREE}group g ${k} a b c\nquorum g\n`).groups[0]!.threshold
    expect(['any', 'all', '1', '2', '3'].map(threshold)).toEqual([1, 3, 1, 2, 3])
  })

  test('may call witnesses and groups anything but none', () => {
    const names = [
      'any',
      'all',
      '1',
      'log',
      'quorum',
      '#x',
      '+',
      '"',
      'x',
      'X',
      'K',
      '\u212a',
      'é',
      'e\u0301',
    ]
    const witnesses = names.map((name, n) => `witness ${name} ${vkey(witness(n))}\n`).join('')
    const text = `${witnesses}group group 2 ${names.join(' ')}\nquorum group\n`
    expect(parsePolicy(text).groups[0]!.members).toEqual(names)
    expect(plain(parsePolicy(formatPolicy(parsePolicy(text))))).toEqual(plain(parsePolicy(text)))
  })

  test('takes a witness alone for a quorum, also one that is in a group', () => {
    expect(parsePolicy(`witness a ${W1}\nquorum a\n`).quorum).toBe('a')
    expect(parsePolicy(`${THREE}group g all a b\nquorum a\n`).quorum).toBe('a')
  })

  test('may list one public key as a log’s and as a witness’s', () => {
    const both = vkey(witness(1, ML_DSA))
    expect(plain(parsePolicy(`log ${both}\nwitness a ${both}\nquorum a\n`)).logs).toEqual([{ vkey: both }])
  })

  test('may list several keys of one log, of each type that signs checkpoints', () => {
    const spki = [1, 2].map(() => treeHeadSigner(generatePrivateKey()).spki)
    const keys = [
      verifierKey('log', KEY_TYPE.ecdsa, spki[0]!),
      verifierKey('log', KEY_TYPE.treeHead, spki[1]!),
      logKey(1, 'log').verifier,
      witness(1, ML_DSA, 'log').verifier,
    ]
    const text = `${keys.map((verifier) => `log ${vkey({ verifier })}\n`).join('')}quorum none\n`
    expect(parsePolicy(text).logs.map(({ key }) => key.type)).toEqual([2, 5, 1, 6])
  })

  test('may have tabs, blanks, empty lines and comments, in any octets but controls', () => {
    const text = `\n \t\n# é\t\u{1f600} log\n\t #x\n\tquorum \t none\t \n#`
    expect(parsePolicy(`${text}\n`)).toEqual({ logs: [], witnesses: [], groups: [], quorum: 'none' })
    expect(parsePolicy(Uint8Array.of(0x23, 0x80, 0xff, 0x0a, ...encodeUtf8('quorum none\n'))).quorum).toBe(
      'none',
    )
  })

  test('keeps names that are not UTF-8 apart, and gives them back', () => {
    const octets = (...bytes: number[]) => Uint8Array.from(bytes)
    const names = [
      octets(0xff),
      octets(0xfe),
      octets(0x61, 0xff),
      encodeUtf8('\ufffd'),
      octets(0xed, 0xb3, 0xbf),
    ]
    const lines = names.map((name, n) =>
      concatBytes(encodeUtf8('witness '), name, encodeUtf8(` ${vkey(witness(n))}\n`)),
    )
    const file = concatBytes(...lines, encodeUtf8('quorum '), names[0]!, encodeUtf8('\n'))
    const policy = parsePolicy(file)
    expect(new Set(policy.witnesses.map(({ name }) => name)).size).toBe(names.length)
    expect(policy.quorum).toBe(policy.witnesses[0]!.name)
    expect(formatPolicy(policy)).toEqual(file)
  })
})

describe('what is wrong is said with its line, what was expected and what came', () => {
  const bad = (type: number) =>
    `expected a key of a type for ${type === 4 ? 'a log (0x01, 0x02, 0x05 or 0x06)' : 'a witness (0x04 or 0x06)'}, got one of type 0x0${type}${type === 4 ? ': the key of a witness belongs on a "witness" line' : ''}`
  test.each([
    ['', 'policy: expected a "quorum" line, got to the end without one'],
    [THREE, 'policy: expected a "quorum" line, got to the end without one'],
    ['quorum none', 'line 1: expected a line feed at the end, got the end of the file'],
    ['# c\nquorum none\n ', 'line 3: expected a line feed at the end, got the end of the file'],
    [
      'quorum none\r\n',
      'line 1: expected no control character but tab, got 0x0d (lines end in a line feed alone)',
    ],
    ['#\n# \x7f\nquorum none\n', 'line 2: expected no control character but tab, got 0x7f'],
    ['quorum none\n\0', 'line 2: expected a line feed at the end'],
    ['quorum none\n\0\n', 'line 2: expected no control character but tab, got 0x00'],
    ['quorum none\n\v\n', 'line 2: expected no control character but tab, got 0x0b'],
    ['x\n\r\n', 'line 1: expected "log", "witness", "group" or "quorum", got "x"'],
    ['QUORUM none\n', 'line 1: expected "log", "witness", "group" or "quorum", got "QUORUM"'],
    ['\ufeffquorum none\n', 'line 1: expected "log", "witness", "group" or "quorum", got "\\u{feff}quorum"'],
    ['quorum\u00a0none\n', 'line 1: expected "log", "witness", "group" or "quorum", got'],
    ['quorum\n', 'line 1: expected "quorum <name|none>", got 0 items behind "quorum"'],
    ['quorum none none\n', 'line 1: expected "quorum <name|none>", got 2 items behind "quorum"'],
    [
      'quorum none # why\n',
      'line 1: expected "quorum <name|none>", got "#" too: a comment needs a line of its own',
    ],
    ['quorum none #why\n', 'got "#why" too: a comment needs a line of its own'],
    [
      `log ${LOG} #why\nquorum none\n`,
      'line 1: expected a URL with its scheme, as in "https://...", got "#why"',
    ],
    [`log ${LOG} log.example\nquorum none\n`, 'line 1: expected a URL with its scheme'],
    [`log ${LOG} https://\nquorum none\n`, 'line 1: expected a URL with its scheme'],
    [`log ${LOG} https://x # why\nquorum none\n`, 'line 1: expected "log <vkey> [<url>]", got "#" too'],
    ['quorum none\nquorum none\n', 'line 2: expected one quorum, got another after the one on line 1'],
    [
      `quorum a\nwitness a ${W1}\n`,
      'line 1: expected a witness or group defined on an earlier line, got "a"',
    ],
    ['quorum None\n', 'line 1: expected a witness or group defined on an earlier line, got "None"'],
    ['log\nquorum none\n', 'line 1: expected "log <vkey> [<url>]", got 0 items behind "log"'],
    [
      `witness ${W1}\nquorum none\n`,
      'line 1: expected "witness <name> <vkey> [<url>]", got 1 item behind "witness"',
    ],
    [`witness none ${W1}\nquorum none\n`, 'line 1: expected a name other than "none", which is reserved'],
    [
      `${THREE}group none any a\nquorum none\n`,
      'line 4: expected a name other than "none", which is reserved',
    ],
    [
      `${THREE}group g any a none\nquorum g\n`,
      'line 4: expected a witness or group defined on an earlier line, got "none"',
    ],
    [
      `${THREE}group g any\nquorum g\n`,
      'line 4: expected "group <name> <k|any|all> <member>...", got 2 items',
    ],
    [
      `${THREE}group g any a g\nquorum g\n`,
      'line 4: expected a witness or group defined on an earlier line, got "g"',
    ],
    [
      `${THREE}group g any h\ngroup h any a\nquorum g\n`,
      'line 4: expected a witness or group defined on an earlier line, got "h"',
    ],
    [`${THREE}group a any b\nquorum a\n`, 'line 4: expected the name "a" once, got it again after line 1'],
    [
      `${THREE}group g all a a\nquorum g\n`,
      'line 4: expected "a" as a member once, got it again after line 4',
    ],
    [
      `${THREE}group g any a b\ngroup h any a c\ngroup q all g h\nquorum q\n`,
      'line 5: expected "a" as a member once, got it again after line 4',
    ],
    [
      `${THREE}group g any a b\ngroup h all g a\nquorum h\n`,
      'line 5: expected "a" as a member once, got it again after line 4',
    ],
    [
      `witness a ${W1}\nwitness a ${W2}\nquorum a\n`,
      'line 2: expected the name "a" once, got it again after line 1',
    ],
    [
      `witness a ${W1}\n\nwitness b ${W1}\nquorum a\n`,
      'line 3: expected the public key of witness "b" once, got it again after line 1',
    ],
    [
      `witness a ${W1}\nwitness b ${vkey(witness(1, 4, 'other.example'))}\nquorum a\n`,
      'line 2: expected the public key of witness "b" once',
    ],
    [
      `log ${LOG}\nlog ${LOG}\nquorum none\n`,
      'line 2: expected the public key of log "log.example/demo" once',
    ],
    [
      `log ${LOG}\nlog ${vkey(logKey(0, 'other'))}\nquorum none\n`,
      'line 2: expected the public key of log "other" once',
    ],
    [`log ${W1}\nquorum none\n`, `line 1: ${bad(4)}`],
    [`witness a ${LOG}\nquorum a\n`, `line 1: ${bad(1)}`],
    [`witness a ${W1!.replace('+', '+0')}\nquorum a\n`, 'line 1: verifier key: expected key ID'],
    [`witness a w+00000000\nquorum a\n`, 'line 1: verifier key: expected <name>+<hash>+<base64>'],
    [
      `witness a ${logKey().formatSecret()}\nquorum a\n`,
      'line 1: verifier key: expected a public key, got a private one',
    ],
    ...['0', '4', '01', '+1', '1.0', '1e0', '0x1', '-1', 'ANY', '9'.repeat(400), '\u0661'].map((k) => [
      `${THREE}group g ${k} a b c\nquorum g\n`,
      'line 4: expected "any", "all" or a number from 1 to 3, got "',
    ]),
  ])('%j', (text, message) => {
    expect(codeOf(() => parsePolicy(text))).toBe('malformed')
    expect(() => parsePolicy(text)).toThrow(message)
    expect(() => parsePolicy(encodeUtf8(text))).toThrow(message)
  })

  test('for ECDSA too: one public key under two types is one key', () => {
    const { spki } = treeHeadSigner(generatePrivateKey())
    const keys = [KEY_TYPE.ecdsa, KEY_TYPE.treeHead].map((type) => verifierKey('log', type, spki))
    const text = `${keys.map((verifier) => `log ${vkey({ verifier })}\n`).join('')}quorum none\n`
    expect(() => parsePolicy(text)).toThrow('line 2: expected the public key of log "log" once')
  })

  test('and shows nothing that would hide in a terminal', () => {
    const shown = (text: string) => {
      try {
        parsePolicy(text)
      } catch (error) {
        return (error as Error).message
      }
      return ''
    }
    expect(shown('quorum \u202e\u200bx\u2028\u0085\n')).toContain('got "\\u202e\\u{200b}x\\u2028\\u0085"')
    expect(shown(`quorum ${'x'.repeat(5000)}\n`).length).toBeLessThan(200)
  })
})

describe('limits', () => {
  const logs = (count: number) =>
    Array.from({ length: count }, (_, n) => {
      // Any 1312 bytes are a key.
      const publicKey = new Uint8Array(1312)
      publicKey.set([n % 256, Math.floor(n / 256)])
      return `log ${vkey({ verifier: verifierKey('log', KEY_TYPE.mlDsa44Cosignature, publicKey) })}\n`
    }).join('')
  const groups = (count: number) =>
    Array.from({ length: count }, (_, n) => `group g${n} all ${n === 0 ? 'a' : `g${n - 1}`}\n`).join('')

  test('are far above the 32 of each that the specification asks for', () => {
    const most = `${logs(MAX_DEFINITIONS)}witness a ${W1}\n${groups(MAX_DEFINITIONS)}quorum g255\n`
    expect(parsePolicy(most).logs).toHaveLength(256)
    expect(() => parsePolicy(`${logs(257)}quorum none\n`)).toThrow(
      'line 257: expected at most 256 "log" lines, got another',
    )
    expect(() => parsePolicy(`witness a ${W1}\n${groups(257)}quorum a\n`)).toThrow(
      'line 258: expected at most 256',
    )
  })

  test('count bytes, comments too', () => {
    const filled = (length: number) => `quorum none\n#${'x'.repeat(length - 14)}\n`
    expect(parsePolicy(filled(MAX_POLICY_BYTES)).quorum).toBe('none')
    expectCode(() => parsePolicy(filled(MAX_POLICY_BYTES + 1)), 'too_large')
  })
})

test('random and spoilt policies are malformed or read back the same, never anything else', () => {
  const good = encodeUtf8(`log ${LOG} https://x/\n${THREE}group g 2 a b\ngroup h any g c\nquorum h\n`)
  const spliced = fc
    .tuple(fc.nat(good.length), fc.nat(12), fc.uint8Array({ maxLength: 12 }))
    .map(([at, drop, insert]) => concatBytes(good.subarray(0, at), insert, good.subarray(at + drop)))
  const words = fc
    .array(
      fc.constantFrom(
        'log',
        'witness',
        'group',
        'quorum',
        'none',
        'a',
        'g',
        '1',
        'any',
        ' ',
        '\n',
        '\t',
        '#',
        W1!,
      ),
    )
    .map((parts) => encodeUtf8(`${parts.join(' ')}\n`))
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 60 }), spliced, words), (octets) => {
      const code = codeOf(() => {
        const policy = parsePolicy(octets)
        expect(plain(parsePolicy(formatPolicy(policy)))).toEqual(plain(policy))
      })
      expect([undefined, 'malformed']).toContain(code)
    }),
    { numRuns: 400 },
  )
})
