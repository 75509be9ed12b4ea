import { createHash } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { toHex } from '../../src/bytes/hex.ts'
import {
  asHash,
  EMPTY_ROOT,
  HASH_BYTES,
  hashLeafInto,
  hashNodeInto,
  leafHash,
  nodeHash,
  sha256,
  type Hash,
} from '../../src/merkle/hash.ts'
import * as node from '../../src/crypto/sha256-node.ts'
import * as portable from '../../src/crypto/sha256-portable.ts'
import { referenceLeaf, referenceNode } from '../reference/tree.ts'
import { codeOf, expectCode } from '../note/expect-code.ts'

const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => asHash(bytes, 'test'))

describe('hashes', () => {
  test('of a leaf and a node have different first bytes before them', () => {
    fc.assert(
      fc.property(fc.uint8Array(), hash, hash, (entry, left, right) => {
        expect(leafHash(entry)).toEqual(referenceLeaf(entry))
        expect(nodeHash(left, right)).toEqual(referenceNode(left, right))
      }),
    )
  })

  test('of nothing and of the empty entry are those of RFC 6962', () => {
    expect(toHex(EMPTY_ROOT)).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
    expect(toHex(leafHash(new Uint8Array(0)))).toBe(
      '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
    )
  })

  test('do not depend on what was hashed before, however long', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ maxLength: 300 }), (first, second) => {
        const [a, b] = [leafHash(first), leafHash(second)]
        expect([a, b]).toEqual([referenceLeaf(first), referenceLeaf(second)])
      }),
    )
  })

  test.each([65_534, 65_535, 65_536, 1_000_000])('an entry of %d bytes is hashed whole', (length) => {
    const entry = new Uint8Array(length).map((_, i) => (i * 31) % 256)
    expect(leafHash(entry)).toEqual(referenceLeaf(entry))
  })

  test('written into a slab touch only their own 32 bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array(), hash, hash, fc.nat({ max: 40 }), (entry, left, right, offset) => {
        const out = new Uint8Array(offset + HASH_BYTES + 3).fill(0xee)
        const expected = out.slice()
        hashLeafInto(out, offset, entry)
        expected.set(referenceLeaf(entry), offset)
        expect(out).toEqual(expected)
        const children = Uint8Array.of(7, ...left, ...right, 7)
        hashNodeInto(out, offset, children, 1)
        expected.set(referenceNode(left, right), offset)
        expect(out).toEqual(expected)
      }),
    )
  })

  test('of a node may take the place of its left child', () => {
    const [left, right] = [leafHash(Uint8Array.of(1)), leafHash(Uint8Array.of(2))]
    const slab = Uint8Array.of(...left, ...right)
    hashNodeInto(slab, 0, slab, 0)
    expect(slab).toEqual(Uint8Array.of(...referenceNode(left, right), ...right))
  })

  test('are 32 bytes, not copied', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), (bytes) => {
        const code = codeOf(() => expect(asHash(bytes, 'test')).toBe(bytes))
        expect(code).toBe(bytes.length === HASH_BYTES ? undefined : 'malformed')
      }),
    )
    expectCode(() => asHash(new Uint8Array(31), 'test'), 'malformed')
    expectCode(() => asHash(new Uint8Array(33), 'test'), 'malformed')
    expect(asHash(new Uint8Array(32) as Hash, 'test')).toHaveLength(32)
  })
})

describe.each([
  ['by Node', node.sha256Into],
  ['by the portable implementation', portable.sha256Into],
])('SHA-256 %s', (_, sha256Into) => {
  // 55, 56 and 64 bytes are where the padding takes another block.
  test.each([0, 1, 54, 55, 56, 63, 64, 65, 119, 120, 65_536, 100_003])('of %d bytes is right', (length) => {
    const input = new Uint8Array(length).map((_, i) => (i * 7 + 3) % 256)
    const out = new Uint8Array(40).fill(0xee)
    sha256Into(out, 5, input)
    const digest = createHash('sha256').update(input).digest()
    expect(out).toEqual(Uint8Array.of(...Array<number>(5).fill(0xee), ...digest, 0xee, 0xee, 0xee))
  })

  test('of a view hashes the view alone', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 4 }), (bytes) => {
        const [view, out] = [bytes.subarray(1, -2), new Uint8Array(32)]
        sha256Into(out, 0, view)
        expect(out).toEqual(new Uint8Array(createHash('sha256').update(view.slice()).digest()))
        expect(sha256(view)).toEqual(out)
      }),
    )
  })

  test('may be written over its own input', () => {
    const bytes = new Uint8Array(32).fill(9)
    const digest = new Uint8Array(createHash('sha256').update(bytes).digest())
    sha256Into(bytes, 0, bytes)
    expect(bytes).toEqual(digest)
  })
})

test('both implementations of SHA-256 write the same bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (input) => {
      const [a, b] = [new Uint8Array(32), new Uint8Array(32)]
      node.sha256Into(a, 0, input)
      portable.sha256Into(b, 0, input)
      expect(a).toEqual(b)
    }),
  )
})
