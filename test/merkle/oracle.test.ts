import { createHash } from 'node:crypto'
import * as fc from 'fast-check'
import { MerkleTree } from 'merkletreejs'
import { describe, expect, test } from 'vitest'
import { toHex } from '../../src/bytes/hex.ts'
import { leafHash } from '../../src/merkle/hash.ts'
import { inclusionRanges } from '../../src/merkle/range.ts'
import { verifyInclusion } from '../../src/merkle/verify.ts'
import { EMPTY_TREE, growTree } from '../../src/tile/grow.ts'
import { rangeHash, referenceInclusion } from '../reference/tree.ts'
import { slab } from '../support/tiles.ts'

/*
 * Somebody else's tree. With default options, leaves hashed beforehand and this node hash it is RFC 6962's, but for
 * the empty tree, whose root it gives as nothing.
 */
const nodeHash = (children: Uint8Array): Buffer =>
  createHash('sha256').update(Uint8Array.of(1)).update(children).digest()

const leaves = Array.from({ length: 300 }, (_, i) => leafHash(Uint8Array.of(i / 256, i)))
const buffers = leaves.map((leaf) => Buffer.from(leaf))
const mth = rangeHash(leaves)
const text = (hashes: readonly Uint8Array[]): string => hashes.map(toHex).join(' ')

function checkAgainstOther(size: number, indexes: readonly number[]): void {
  const other = new MerkleTree(buffers.slice(0, size), nodeHash)
  const root = new Uint8Array(other.getRoot())
  expect(growTree(EMPTY_TREE, slab(leaves.slice(0, size))).tree.root).toEqual(root)
  expect(mth(0, size)).toEqual(root)
  for (const index of indexes) {
    // Without the index it would look for the last equal leaf.
    const path = other.getProof(buffers[index]!, index).map(({ data }) => data)
    expect(text(inclusionRanges(index, size).map(({ begin, end }) => mth(begin, end)))).toBe(text(path))
    expect(text(referenceInclusion(mth, index, size))).toBe(text(path))
    verifyInclusion({ index, size, leaf: leaves[index]!, path, root })
  }
}

describe('another implementation', () => {
  test('has the same roots and inclusion proofs at every size to 64', () => {
    for (let size = 1; size <= 64; size++) {
      checkAgainstOther(size, [...Array(size).keys()])
    }
  })

  test('has the same roots and inclusion proofs at random sizes', () => {
    const size = fc.integer({ min: 65, max: leaves.length })
    fc.assert(
      fc.property(size, fc.array(fc.nat(), { maxLength: 5 }), (size, places) => {
        checkAgainstOther(
          size,
          places.map((place) => place % size),
        )
      }),
      { numRuns: 30 },
    )
  })
})
