import { expect, test } from 'vitest'
import { signRotation } from '../../src/note/rotation.ts'
import { openWithPolicy } from '../../src/policy/evaluate.ts'
import { parsePolicy } from '../../src/policy/parse.ts'
import { policyWithRotations } from '../../src/policy/rotations.ts'
import { expectCode } from '../note/expect-code.ts'
import { logKey, logLine, noteOf, NOW, ORIGIN, vkey } from './fixture.ts'

const old = logKey(0)
const next = logKey(1)
const other = logKey(2, 'log.example/other')
const listed = parsePolicy(`log ${vkey(old)} https://${ORIGIN}\nlog ${vkey(other)}\nquorum none\n`)
const statement = (from = old, to = next, origin = ORIGIN): Promise<string> =>
  signRotation(
    { origin, size: 7, timeSeconds: NOW, old: from.verifier, next: to.verifier, overlapSeconds: 0 },
    from,
  )

test('a listed key that announces a new one brings it into the policy, with its URL', async () => {
  const note = noteOf([logLine(next)])
  expectCode(() => openWithPolicy(note, listed), 'untrusted_signer')
  const policy = policyWithRotations(listed, await statement())
  expect(openWithPolicy(note, policy).verifiedBy.map(({ id }) => id)).toEqual([next.id])
  expect(policy.logs.map(({ url }) => url)).toEqual([`https://${ORIGIN}`, undefined, `https://${ORIGIN}`])
  expect(policyWithRotations(listed, '')).toBe(listed)
})

test('a key that is not listed brings in nothing, and one log cannot speak for another', async () => {
  const stranger = logKey(3)
  expect(policyWithRotations(listed, await statement(stranger)).logs).toHaveLength(2)
  const otherNext = logKey(4, 'log.example/other')
  const mixed = (await statement()) + (await statement(other, otherNext, 'log.example/other'))
  expectCode(() => policyWithRotations(listed, mixed), 'wrong_origin')
  expectCode(() => policyWithRotations(listed, noteOf([logLine(old)])), 'malformed')
})
