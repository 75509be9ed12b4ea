import * as fc from 'fast-check'

/** What is white, invisible or breaks lines. */
const BLANKS = ['\n', '\n\n', '\r\n', '\0', ' ', '  ', '\t', '\u2014 ', '\ufeff', '\u{1f600}', '\u202e']
/** Numbers and words that mean something to one format or another, or that are wrong in a way people think of. */
const WORDS = `
  0 00 -1 +1 1e9 0x10 Infinity NaN 9007199254740991 9007199254740992 18446744073709551616 é
  / + = . .. % %00 .p/ /x x001/ " \\ { } [ ] , : ; # & ? :: ::ffff: 127.0.0.1
  null true __proto__ constructor old subtree log witness group quorum none all index extra
  c2sp.org/tlog-proof@v1 st_writer_ Bearer`
  .trim()
  .split(/\s+/)
const TOKENS = [...BLANKS, ...WORDS].map((token) => Buffer.from(token))

/** One thing that happens to bytes on their way. */
const change = fc.record({
  what: fc.constantFrom('flip', 'drop', 'repeat', 'insert', 'cut', 'move'),
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  to: fc.double({ min: 0, max: 1, noNaN: true }),
  token: fc.oneof(
    fc.constantFrom(...TOKENS),
    fc.uint8Array({ minLength: 1, maxLength: 8 }).map((some) => Buffer.from(some)),
  ),
})
type Change = typeof change extends fc.Arbitrary<infer T> ? T : never

/** Good input with a few changes, or with none of it left. */
export function spoilt(samples: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const changed = fc
    .tuple(fc.constantFrom(...samples), fc.array(change, { minLength: 1, maxLength: 6 }))
    .map(([sample, changes]) => changes.reduce(apply, Buffer.from(sample)))
  const woven = fc.array(
    fc.oneof(fc.constantFrom(...TOKENS), fc.constantFrom(...samples.map((one) => Buffer.from(one)))),
    { maxLength: 12 },
  )
  return fc.oneof(
    { weight: 8, arbitrary: changed },
    { weight: 2, arbitrary: woven.map((parts) => Buffer.concat(parts)) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }) },
  )
}

function apply(bytes: Buffer, { what, at, to, token }: Change): Buffer {
  const begin = Math.floor(at * bytes.length)
  const end = Math.min(bytes.length, begin + Math.floor(to * 40))
  const [before, part, after] = [bytes.subarray(0, begin), bytes.subarray(begin, end), bytes.subarray(end)]
  switch (what) {
    case 'flip':
      return Buffer.concat([before, part.map((byte, i) => (i === 0 ? byte ^ token[0]! : byte)), after])
    case 'drop':
      return Buffer.concat([before, after])
    case 'repeat':
      return Buffer.concat([before, part, part, after])
    case 'insert':
      return Buffer.concat([before, token, bytes.subarray(begin)])
    case 'cut':
      return before
    case 'move':
      return Buffer.concat([part, before, after])
  }
}
