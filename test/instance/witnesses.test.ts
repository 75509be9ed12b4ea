import { createServer } from 'node:http'
import { expect, test } from 'vitest'
import type { SteleError } from '../../src/errors.ts'
import { parsePolicy } from '../../src/policy/parse.ts'
import { Witnesses } from '../../src/instance/witnesses.ts'
import { generateCosignerKey } from '../../src/note/cosigner.ts'
import { KEY_TYPE } from '../../src/note/key-id.ts'
import { formatVerifierKey } from '../../src/note/key.ts'
import { formatNote, parseNote } from '../../src/note/note.ts'
import { ED25519 } from '../witness/fixture.ts'
import { listenInTest } from '../support/listen.ts'
import { openTestLog } from '../support/log.ts'

/** A witness that refuses every request in the same way. */
async function refusing(
  status: number,
  headers: Record<string, string>,
): Promise<{ url: string; asked: () => number }> {
  let asked = 0
  const server = createServer((req, res) => {
    asked++
    req.resume().on('end', () => res.writeHead(status, headers).end('too much to do\n'))
  })
  return { url: `http://127.0.0.1:${await listenInTest(server)}`, asked: () => asked }
}

interface Round {
  readonly asked: number
  readonly failure: SteleError | undefined
}

/** Rounds of a log that waits for this witness, at these times. */
async function rounds(
  [status, headers]: readonly [number, Record<string, string>],
  atSeconds: readonly number[],
): Promise<Round[]> {
  const witness = await refusing(status, headers)
  const { log } = await openTestLog()
  let nowMs = 0
  let failure: SteleError | undefined
  const policy = parsePolicy(`witness w ${formatVerifierKey(ED25519.verifier)} ${witness.url}\nquorum w\n`)
  const witnesses = new Witnesses(policy, {
    fetch,
    timeoutMs: 10_000,
    nowMs: () => nowMs,
    withoutQuorum: false,
    events: { cosigned: () => {}, failed: (_, error) => (failure = error), publishedWithoutQuorum: () => {} },
  })
  const seen: Round[] = []
  for (const seconds of atSeconds) {
    nowMs = Date.parse('2026-11-21T00:00:00Z') + seconds * 1000
    const asked = witness.asked()
    await expect(witnesses.cosign(log.published, async () => [])).rejects.toMatchObject({
      code: 'quorum_not_met',
    })
    seen.push({ asked: witness.asked() - asked, failure })
  }
  return seen
}

const inADay = { 'retry-after': 'Sun, 22 Nov 2026 00:00:00 GMT' }

test.each([
  ['429 with seconds', [429, { 'retry-after': '7' }], [0, 1, 6.9, 7], [1, 0, 0, 1]],
  ['503 with seconds', [503, { 'retry-after': '7' }], [0, 1, 6.9, 7], [1, 0, 0, 1]],
  ['503 with a date too far off: 300 s', [503, inADay], [0, 299, 300], [1, 0, 1]],
  ['503 without a word of when', [503, {}], [0, 0, 1], [1, 1, 1]],
  ['500, which asks for nothing', [500, { 'retry-after': '7' }], [0, 1], [1, 1]],
] as const)(
  'a witness is not asked again before the time that it asked for: %s',
  async (_, answer, at, asked) => {
    const seen = await rounds(answer, at)
    expect(seen.map((round) => round.asked)).toEqual(asked)
    const code = answer[0] === 429 ? 'rate_limited' : answer[0] === 503 ? 'overloaded' : 'unexpected_answer'
    // Also a round in which it is not asked says why it has no cosignature.
    expect(seen.map(({ failure }) => failure?.code)).toEqual(seen.map(() => code))
  },
)

test('the time of witnesses is the middle one of those that they have cosigned at', async () => {
  const { log } = await openTestLog()
  const { text } = parseNote(log.published.checkpoint)
  const keys = ['a', 'b', 'c'].map((name, i) =>
    generateCosignerKey(name, KEY_TYPE.ed25519Cosignature, new Uint8Array(32).fill(i + 1)),
  )
  let times = [100, 4_000_000_000, 300]
  const cosigned: typeof fetch = async (url) => {
    const at = Number(/w(\d)/.exec(url instanceof Request ? url.url : url.toString())![1])
    const line = keys[at]!.cosign(text, times[at]!)
    return new Response(formatNote({ text, signatures: [line] }).split('\n\n')[1])
  }
  const policy = [
    ...keys.map(({ verifier }, i) => `witness w${i} ${formatVerifierKey(verifier)} http://w${i}.example`),
    'group all 3 w0 w1 w2',
    'quorum all\n',
  ].join('\n')
  const witnesses = new Witnesses(parsePolicy(policy), {
    fetch: cosigned,
    timeoutMs: 10_000,
    withoutQuorum: false,
    events: { cosigned: () => {}, failed: () => {}, publishedWithoutQuorum: () => {} },
  })
  expect(witnesses.timeMs).toBeUndefined()
  await witnesses.cosign(log.published, async () => [])
  expect(witnesses.timeMs).toBe(300_000)
  times = [500, 4_000_000_000, 700]
  await witnesses.cosign(log.published, async () => [])
  expect(witnesses.timeMs).toBe(700_000)
})
