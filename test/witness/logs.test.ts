import { describe, expect, test } from 'vitest'
import { generateCosignerKey } from '../../src/note/cosigner.ts'
import { KEY_TYPE } from '../../src/note/key-id.ts'
import { checkWitnessKeys } from '../../src/witness/keys.ts'
import { checkLogs, originHash } from '../../src/witness/logs.ts'
import { expectCode } from '../note/expect-code.ts'
import { testSigner } from './fake-log.ts'
import { ED25519, ML_DSA, NAME } from './fixture.ts'

const own = [ED25519.verifier, ML_DSA.verifier]
const key = testSigner('log.example/a').verifier

test('an origin is filed under the hash that the specification wants in the URL', () => {
  expect(originHash('log.example/demo')).toBe(
    '8b194492d95c5959dec951220d37961db8d6973e931f11358b9d08f9e26a8d01',
  )
})

describe('a list of logs is refused', () => {
  const refuse = (...logs: Parameters<typeof checkLogs>[0]): void =>
    expectCode(() => checkLogs(logs, own), 'usage')

  test('with one origin twice', () =>
    refuse({ origin: 'a', keys: [key] }, { origin: 'a', keys: [testSigner('b', 2).verifier] }))
  test('without a key', () => refuse({ origin: 'a', keys: [] }))
  test('with an origin that is no line', () => {
    refuse({ origin: '', keys: [key] })
    refuse({ origin: 'a\nb', keys: [key] })
  })
  test('with one key twice, under another name too', () => {
    refuse({ origin: 'a', keys: [key, key] })
    refuse({ origin: 'a', keys: [key, testSigner('log.example/b').verifier] })
  })
  test("with a witness's key as a log's", () => {
    const other = generateCosignerKey('w2.example', KEY_TYPE.ed25519Cosignature)
    refuse({ origin: 'a', keys: [other.verifier] })
  })
  test("with this witness's own post-quantum key, which would make its cosignature the log's signature", () => {
    refuse({ origin: NAME, keys: [ML_DSA.verifier] })
    const renamed = generateCosignerKey(
      'log.example/x',
      KEY_TYPE.mlDsa44Cosignature,
      new Uint8Array(32).fill(9),
    )
    refuse({ origin: 'log.example/x', keys: [renamed.verifier] })
  })
  test('with an origin that the post-quantum key cannot sign for', () => {
    const origin = 'é'.repeat(128)
    refuse({ origin, keys: [key] })
    expect(() => checkLogs([{ origin, keys: [key] }], [ED25519.verifier])).not.toThrow()
    expect(() => checkLogs([{ origin: 'x'.repeat(255), keys: [key] }], own)).not.toThrow()
  })
})

test('a witness has at least one key, and each once', () => {
  expectCode(() => checkWitnessKeys([]), 'usage')
  expectCode(() => checkWitnessKeys([ED25519, ED25519]), 'usage')
  expect(() => checkWitnessKeys([ED25519, ML_DSA])).not.toThrow()
})
