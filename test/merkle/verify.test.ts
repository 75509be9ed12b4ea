import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ErrorCode } from '../../src/errors.ts'
import {
  rootFromInclusion,
  verifyConsistency,
  verifyInclusion,
  verifySubtreeConsistency,
  type ConsistencyProof,
  type InclusionProof,
  type SubtreeProof,
} from '../../src/merkle/verify.ts'
import {
  rangeHash,
  referenceConsistency,
  referenceInclusion,
  referenceLeaf,
  referenceRoot,
  referenceSubtree,
  referenceSubtrees,
} from '../reference/tree.ts'
import { codeOf, expectCode } from '../note/expect-code.ts'

const MOST = 64
const leaves = Array.from({ length: 3000 }, (_, i) => referenceLeaf(Uint8Array.of(i / 256, i)))
const mth = rangeHash(leaves)
const sizes = Array.from({ length: MOST }, (_, i) => i + 1)
const bigSize = fc.integer({ min: 2, max: leaves.length })
const EMPTY = referenceRoot([])

function inclusion(index: number, size: number): InclusionProof {
  return { index, size, leaf: leaves[index]!, path: referenceInclusion(mth, index, size), root: mth(0, size) }
}

function consistency(oldSize: number, newSize: number): ConsistencyProof {
  const path = referenceConsistency(mth, oldSize, newSize)
  return { oldSize, newSize, oldRoot: mth(0, oldSize), newRoot: mth(0, newSize), path }
}

function subtree(start: number, end: number, size: number): SubtreeProof {
  const path = referenceSubtree(mth, start, end, size)
  return { start, end, size, nodeHash: mth(start, end), path, root: mth(0, size) }
}

describe('good proofs', () => {
  test('of inclusion verify, at every place of every size to 64', () => {
    for (const size of sizes) {
      for (let index = 0; index < size; index++) {
        verifyInclusion(inclusion(index, size))
        expect(rootFromInclusion(inclusion(index, size))).toEqual(mth(0, size))
      }
    }
  })

  test('of consistency verify, between every two sizes to 64', () => {
    for (const size of sizes) {
      for (let old = 1; old <= size; old++) verifyConsistency(consistency(old, size))
    }
  })

  test('of every subtree verify, at every size to 64', () => {
    for (const size of sizes) {
      for (const { start, end } of referenceSubtrees(size))
        verifySubtreeConsistency(subtree(start, end, size))
    }
  })

  test('verify at random sizes', () => {
    fc.assert(
      fc.property(bigSize, fc.nat(), fc.nat({ max: 11 }), (size, at, level) => {
        const index = at % size
        verifyInclusion(inclusion(index, size))
        verifyConsistency(consistency(index + 1, size))
        const start = index - (index % 2 ** level)
        verifySubtreeConsistency(subtree(start, Math.min(start + 2 ** level, size), size))
      }),
      { numRuns: 300 },
    )
  })

  test('of consistency are subtree proofs of what begins at 0, and of inclusion those of a single leaf', () => {
    for (const size of [1, 2, 7, 8, 13, 64]) {
      for (let index = 0; index < size; index++) {
        const { leaf, path, root } = inclusion(index, size)
        verifySubtreeConsistency({ start: index, end: index + 1, size, nodeHash: leaf, path, root })
        const old = consistency(index + 1, size)
        const proof = { start: 0, end: index + 1, size, nodeHash: old.oldRoot, path: old.path, root }
        verifySubtreeConsistency(proof)
      }
    }
  })
})

/** One way to spoil a list of hashes, and what a verifier must say to it. */
interface Spoilt {
  readonly how: string
  readonly path: Uint8Array[]
  readonly code: ErrorCode
}

/** Every way to spoil a path that leaves it another path. */
function* spoil(path: readonly Uint8Array[]): Generator<Spoilt> {
  const stranger = referenceLeaf(Uint8Array.of(1, 2, 3))
  for (let i = 0; i <= path.length; i++) {
    for (const extra of [stranger, ...path.slice(0, 1), ...path.slice(-1)]) {
      yield { how: `a hash too many at ${i}`, path: path.toSpliced(i, 0, extra), code: 'bad_proof' }
    }
  }
  for (let i = 0; i < path.length; i++) {
    yield { how: `hash ${i} missing`, path: path.toSpliced(i, 1), code: 'bad_proof' }
    yield { how: `another hash at ${i}`, path: path.with(i, stranger), code: 'bad_proof' }
    for (const bit of [0, 7, 128, 255]) {
      yield {
        how: `bit ${bit} of hash ${i} flipped`,
        path: path.with(i, flip(path[i]!, bit)),
        code: 'bad_proof',
      }
    }
    for (const length of [0, 31, 33, 64]) {
      const hash = new Uint8Array(length)
      hash.set(path[i]!.subarray(0, length))
      yield { how: `hash ${i} of ${length} bytes`, path: path.with(i, hash), code: 'malformed' }
    }
    for (let j = 0; j < i; j++) {
      const swapped = path.with(i, path[j]!).with(j, path[i]!)
      yield { how: `hashes ${j} and ${i} swapped`, path: swapped, code: 'bad_proof' }
    }
  }
  if (path.length > 1) yield { how: 'reversed', path: path.toReversed(), code: 'bad_proof' }
  if (path.length > 0) yield { how: 'empty', path: [], code: 'bad_proof' }
}

function flip(hash: Uint8Array, bit: number): Uint8Array {
  const other = hash.slice()
  other[Math.floor(bit / 8)]! ^= 1 << (bit % 8)
  return other
}

/** Every way to spoil a single hash of a proof. */
function* spoilHash(hash: Uint8Array): Generator<[Uint8Array, ErrorCode]> {
  for (let bit = 0; bit < 256; bit += 51) yield [flip(hash, bit), 'bad_proof']
  yield [EMPTY, 'bad_proof']
  yield [new Uint8Array(0), 'malformed']
  yield [hash.slice(1), 'malformed']
  yield [Uint8Array.of(...hash, 0), 'malformed']
}

const someSizes = [1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 16, 31, 33]

describe('spoilt proofs of inclusion', () => {
  test('are refused, whatever happened to the path', () => {
    for (const size of someSizes) {
      for (let index = 0; index < size; index++) {
        const proof = inclusion(index, size)
        for (const { how, path, code } of spoil(proof.path)) {
          expect(`${how}: ${codeOf(() => verifyInclusion({ ...proof, path }))}`).toBe(`${how}: ${code}`)
        }
      }
    }
  })

  test('are refused, whatever happened to the leaf hash or the root hash', () => {
    for (const size of [1, 2, 7, 8]) {
      for (let index = 0; index < size; index++) {
        const proof = inclusion(index, size)
        for (const [root, code] of spoilHash(proof.root))
          expectCode(() => verifyInclusion({ ...proof, root }), code)
        for (const [leaf, code] of spoilHash(proof.leaf))
          expectCode(() => verifyInclusion({ ...proof, leaf }), code)
      }
    }
  })

  test('are refused at every other index', () => {
    for (const size of someSizes) {
      for (let index = 0; index < size; index++) {
        for (let other = 0; other < size; other++) {
          if (other !== index)
            expectCode(() => verifyInclusion({ ...inclusion(index, size), index: other }), 'bad_proof')
        }
      }
    }
  })

  test('never prove another leaf at another size: a size that verifies leads through the same nodes', () => {
    for (const size of someSizes) {
      for (let index = 0; index < size; index++) {
        for (let other = 0; other < 2 * size; other++) {
          const code = codeOf(() => verifyInclusion({ ...inclusion(index, size), size: other }))
          // A proof does not pin the size, only the signed head does; but the turns it takes must be the same.
          if (index >= other) expect(code).toBe('out_of_range')
          else expect(code).toBe(turns(index, other) === turns(index, size) ? undefined : 'bad_proof')
        }
      }
    }
  })

  test('are out of range for an index beyond the tree, and for numbers beyond 2^53 - 1', () => {
    const proof = inclusion(3, 7)
    for (const index of [7, 8, 2 ** 32 + 3, -1, 0.5, NaN, 2 ** 53]) {
      expectCode(() => verifyInclusion({ ...proof, index }), 'out_of_range')
    }
    for (const size of [0, 3, -7, 7.5, NaN, Infinity, 2 ** 53, 2 ** 64]) {
      expectCode(() => verifyInclusion({ ...proof, size }), 'out_of_range')
    }
    expectCode(() => verifyInclusion({ ...proof, index: 0, size: 0, path: [] }), 'out_of_range')
  })
})

/** At which sides the hashes of a path are joined: the shape of PATH(index, size), leaf side first. */
function turns(index: number, size: number): string {
  let sides = ''
  for (let [low, high] = [0, size]; high - low > 1;) {
    let k = 1
    while (2 * k < high - low) k *= 2
    if (index < low + k) [high, sides] = [low + k, `R${sides}`]
    else [low, sides] = [low + k, `L${sides}`]
  }
  return sides
}

describe('spoilt proofs of consistency', () => {
  test('are refused, whatever happened to the path', () => {
    for (const size of someSizes) {
      for (let old = 1; old <= size; old++) {
        const proof = consistency(old, size)
        for (const { how, path, code } of spoil(proof.path)) {
          expect(`${how}: ${codeOf(() => verifyConsistency({ ...proof, path }))}`).toBe(`${how}: ${code}`)
        }
      }
    }
  })

  test('are refused, whatever happened to one of the root hashes, and when they are swapped', () => {
    for (const size of [1, 2, 7, 8]) {
      for (let old = 1; old <= size; old++) {
        const proof = consistency(old, size)
        const { oldRoot, newRoot } = proof
        for (const [root, code] of spoilHash(oldRoot)) {
          expectCode(() => verifyConsistency({ ...proof, oldRoot: root }), code)
        }
        for (const [root, code] of spoilHash(newRoot)) {
          expectCode(() => verifyConsistency({ ...proof, newRoot: root }), code)
        }
        if (old === size) continue
        expectCode(() => verifyConsistency({ ...proof, oldRoot: newRoot, newRoot: oldRoot }), 'bad_proof')
        expectCode(() => verifyConsistency({ ...proof, oldSize: size, newSize: old }), 'out_of_range')
      }
    }
  })

  test('are refused at another old size', () => {
    for (const size of someSizes) {
      for (let old = 1; old <= size; old++) {
        for (let other = 1; other <= size; other++) {
          const proof = { ...consistency(old, size), oldSize: other }
          if (other !== old) expectCode(() => verifyConsistency(proof), 'bad_proof')
        }
      }
    }
  })

  test('of equal sizes need equal root hashes and no path', () => {
    const proof = consistency(7, 7)
    verifyConsistency(proof)
    expectCode(() => verifyConsistency({ ...proof, newRoot: mth(0, 8) }), 'bad_proof')
    expectCode(() => verifyConsistency({ ...proof, path: [mth(0, 7)] }), 'bad_proof')
  })

  test('from a power of two leave the old root hash out; one that has it is refused', () => {
    for (const old of [1, 2, 4, 8]) {
      const proof = consistency(old, 13)
      expectCode(() => verifyConsistency({ ...proof, path: [proof.oldRoot, ...proof.path] }), 'bad_proof')
    }
  })

  test('from size 0 are refused, since no RFC defines one', () => {
    for (const newSize of [0, 1, 7]) {
      const proof = { oldSize: 0, newSize, oldRoot: EMPTY, newRoot: mth(0, newSize), path: [] }
      expectCode(() => verifyConsistency(proof), 'out_of_range')
    }
  })

  test('are out of range for numbers beyond 2^53 - 1', () => {
    const proof = consistency(3, 7)
    for (const oldSize of [-3, 3.5, NaN, 2 ** 53, 8]) {
      expectCode(() => verifyConsistency({ ...proof, oldSize }), 'out_of_range')
    }
    for (const newSize of [-7, 7.5, NaN, Infinity, 2 ** 53, 2]) {
      expectCode(() => verifyConsistency({ ...proof, newSize }), 'out_of_range')
    }
  })
})

describe('spoilt proofs of a subtree', () => {
  test('are refused, whatever happened to the path', () => {
    for (const size of [1, 2, 5, 7, 8, 13]) {
      for (const { start, end } of referenceSubtrees(size)) {
        const proof = subtree(start, end, size)
        for (const { how, path, code } of spoil(proof.path)) {
          expect(`${how}: ${codeOf(() => verifySubtreeConsistency({ ...proof, path }))}`).toBe(
            `${how}: ${code}`,
          )
        }
      }
    }
  })

  test('are refused, whatever happened to one of the hashes', () => {
    for (const { start, end } of referenceSubtrees(7)) {
      const proof = subtree(start, end, 7)
      for (const [root, code] of spoilHash(proof.root)) {
        expectCode(() => verifySubtreeConsistency({ ...proof, root }), code)
      }
      for (const [nodeHash, code] of spoilHash(proof.nodeHash)) {
        expectCode(() => verifySubtreeConsistency({ ...proof, nodeHash }), code)
      }
    }
  })

  test('are refused for every other subtree of the tree', () => {
    const size = 13
    for (const { start, end } of referenceSubtrees(size)) {
      for (const other of referenceSubtrees(size)) {
        const proof = { ...subtree(start, end, size), ...other }
        if (other.start !== start || other.end !== end) {
          expectCode(() => verifySubtreeConsistency(proof), 'bad_proof')
        }
      }
    }
  })

  test('are out of range for what is no subtree within the tree', () => {
    const proof = subtree(4, 6, 7)
    for (const range of [
      { start: 1, end: 3 },
      { start: 4, end: 4 },
      { start: 6, end: 4 },
      { start: -2, end: 0 },
      { start: 4, end: 8 },
      { start: 8, end: 10 },
      { start: 0, end: 1.5 },
      { start: 0, end: NaN },
      { start: 0, end: 2 ** 53 },
    ]) {
      expectCode(() => verifySubtreeConsistency({ ...proof, ...range }), 'out_of_range')
    }
    expectCode(() => verifySubtreeConsistency({ ...proof, size: 2 ** 53 }), 'out_of_range')
  })
})

test('random hashes at random places are bad proofs, never another failure', () => {
  const hash = fc.uint8Array({ minLength: 30, maxLength: 34 })
  // Never equal to a root hash: between equal sizes that would be a good proof.
  const other = hash.map((bytes) => bytes.with(0, 1))
  const root = hash.map((bytes) => bytes.with(0, 2))
  const number = fc.oneof(fc.nat({ max: 20 }), fc.maxSafeNat(), fc.double(), fc.integer())
  const codes = ['bad_proof', 'malformed', 'out_of_range']
  fc.assert(
    fc.property(number, number, number, other, root, fc.array(hash), (a, b, c, leaf, root, path) => {
      const consistency = { oldSize: a, newSize: b, oldRoot: leaf, newRoot: root, path }
      expect(codes).toContain(codeOf(() => verifyInclusion({ index: a, size: b, leaf, path, root })))
      expect(codes).toContain(codeOf(() => verifyConsistency(consistency)))
      const proof = { start: a, end: b, size: c, nodeHash: leaf, path, root }
      expect(codes).toContain(codeOf(() => verifySubtreeConsistency(proof)))
    }),
    { numRuns: 500 },
  )
})
