import { describe, expect, test } from 'vitest'
import { parseBase64, toBase64 } from '../../src/bytes/base64.ts'
import { parseSize } from '../../src/bytes/decimal.ts'
import { parseHex, toHex } from '../../src/bytes/hex.ts'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import { SteleError, type ErrorCode } from '../../src/errors.ts'
import { HASH_BYTES, leafHash } from '../../src/merkle/hash.ts'
import { consistencyRanges, inclusionRanges, isSubtree, subtreeRanges } from '../../src/merkle/range.ts'
import { verifyConsistency, verifyInclusion, verifySubtreeConsistency } from '../../src/merkle/verify.ts'
import { EMPTY_TREE, growTree } from '../../src/tile/grow.ts'
import { proveConsistency, proveInclusion, proveSubtree } from '../../src/tile/prove.ts'
import { codeOf } from '../note/expect-code.ts'
import { rangeHash, referenceRoot } from '../reference/tree.ts'
import { MemoryTiles, slab } from '../support/tiles.ts'
import bigIndex from '../vectors/gen-big-index.json' with { type: 'json' }
import genTree from '../vectors/gen-tree.json' with { type: 'json' }
import consistency from '../vectors/merkle-consistency.json' with { type: 'json' }
import inclusion from '../vectors/merkle-inclusion.json' with { type: 'json' }
import referenceTree from '../vectors/merkle-reference-tree.json' with { type: 'json' }
import subtreeConsistency from '../vectors/merkle-subtreeconsistency.json' with { type: 'json' }
import subtreeInclusion from '../vectors/merkle-subtreeinclusion.json' with { type: 'json' }
import tlog from '../vectors/tlog-golang.json' with { type: 'json' }

const bytes = (text: string): Uint8Array => parseBase64(text, 'vector')
const all = (texts: readonly string[]): Uint8Array[] => texts.map(bytes)
const size = (text: string): number => parseSize(text, 'vector')

/** A case that must fail does so with one of the codes for what a caller sent. */
function expectVerdict(wantErr: boolean, act: () => void): void {
  const allowed: readonly (ErrorCode | undefined)[] = wantErr
    ? ['bad_proof', 'malformed', 'out_of_range']
    : [undefined]
  expect(allowed).toContain(codeOf(act))
}

describe('the reference tree of Certificate Transparency', () => {
  const leaves = referenceTree.cases.map(({ leaf_input }) => leafHash(parseHex(leaf_input, 'vector')))

  test('has these leaf hashes, and these roots at every size', () => {
    expect(leaves.map(toHex)).toEqual(referenceTree.cases.map(({ leaf_hash }) => leaf_hash))
    referenceTree.roots_by_size.forEach((root, size) => {
      expect(toHex(growTree(EMPTY_TREE, slab(leaves.slice(0, size))).tree.root)).toBe(root)
      expect(toHex(referenceRoot(leaves.slice(0, size)))).toBe(root)
    })
  })
})

describe('verification probes of transparency-dev/merkle', () => {
  test.each(inclusion.cases)('inclusion $name', ({ leafIdx, treeSize, root, leafHash, proof, wantErr }) => {
    expectVerdict(wantErr, () =>
      verifyInclusion({
        index: size(leafIdx),
        size: size(treeSize),
        leaf: bytes(leafHash),
        path: all(proof),
        root: bytes(root),
      }),
    )
  })

  const verifyConsistencyCase = (c: (typeof consistency.cases)[number]): void =>
    verifyConsistency({
      oldSize: size(c.size1),
      newSize: size(c.size2),
      oldRoot: bytes(c.root1),
      newRoot: bytes(c.root2),
      path: all(c.proof),
    })

  const isOfHashes = ({ root1, root2 }: { root1: string; root2: string }): boolean =>
    all([root1, root2]).every((root) => root.length === HASH_BYTES)

  test.each(consistency.cases.filter((c) => c.wantErr || isOfHashes(c)))('consistency $name', (c) => {
    expectVerdict(c.wantErr, () => verifyConsistencyCase(c))
  })

  // That library compares what it gets; here a root hash that is not 32 bytes is none, whatever it equals.
  test.each(consistency.cases.filter((c) => !c.wantErr && !isOfHashes(c)))(
    'equal roots that are no hashes are refused: $name',
    (c) => expect(codeOf(() => verifyConsistencyCase(c))).toBe('malformed'),
  )

  // Within a subtree a leaf is proved as within a tree of the subtree's size.
  test.each(subtreeInclusion.cases)(
    'inclusion in a subtree $name',
    ({ leafIdx, start, end, root, leafHash, proof, wantErr }) => {
      expectVerdict(wantErr, () => {
        const [begin, width] = [size(start), size(end) - size(start)]
        if (!isSubtree(begin, size(end))) throw new SteleError('out_of_range', 'no subtree')
        verifyInclusion({
          index: size(leafIdx) - begin,
          size: width,
          leaf: bytes(leafHash),
          path: all(proof),
          root: bytes(root),
        })
      })
    },
  )

  const verifySubtreeCase = (c: (typeof subtreeConsistency.cases)[number]): void =>
    verifySubtreeConsistency({
      start: size(c.start),
      end: size(c.end),
      size: size(c.size),
      nodeHash: bytes(c.root1),
      path: all(c.proof),
      root: bytes(c.root2),
    })

  test.each(subtreeConsistency.cases.filter((c) => !c.note))('consistency of a subtree $name', (c) => {
    expectVerdict(c.wantErr, () => verifySubtreeCase(c))
  })

  // That library accepts an empty subtree against any root. The draft demands start < end, and what proves nothing
  // about a root should not look like a proof.
  test.each(subtreeConsistency.cases.filter((c) => c.note))('an empty subtree is refused: $name', (c) => {
    expect(codeOf(() => verifySubtreeCase(c))).toBe('out_of_range')
  })
})

describe('indexes and sizes above 2^32', () => {
  const verify = (c: (typeof bigIndex.cases)[number]): void => {
    const path = all(c.path)
    if (c.op === 'inclusion') {
      const [index, treeSize] = [size(c.leaf_index!), size(c.tree_size!)]
      verifyInclusion({ index, size: treeSize, leaf: bytes(c.leaf_hash!), path, root: bytes(c.root!) })
    } else {
      const [oldSize, newSize] = [size(c.first!), size(c.second!)]
      verifyConsistency({ oldSize, newSize, oldRoot: bytes(c.root1!), newRoot: bytes(c.root2!), path })
    }
  }
  const numbers = ({ leaf_index, tree_size, first, second }: (typeof bigIndex.cases)[number]): string[] =>
    [leaf_index, tree_size, first, second].filter((text) => text !== undefined)
  const isSafe = (c: (typeof bigIndex.cases)[number]): boolean =>
    numbers(c).every((text) => BigInt(text) <= BigInt(Number.MAX_SAFE_INTEGER))

  const safe = bigIndex.cases.filter(isSafe)
  const unsafe = bigIndex.cases.filter((c) => !isSafe(c))

  test.each(safe.map((c) => ({ ...c, at: numbers(c).join(' '), why: c.why ?? 'good' })))(
    '$op at $at, $why: $expect',
    (c) => expectVerdict(c.expect === 'reject', () => verify(c)),
  )

  // A number does not hold them exactly, so that a good proof is refused as well: cleanly, and never miscomputed.
  test.each(unsafe.map((c) => ({ ...c, at: numbers(c).join(' '), why: c.why ?? 'good' })))(
    '$op at $at, $why: out of range, for it is beyond 2^53 - 1',
    (c) => expect(codeOf(() => verify(c))).toBe('out_of_range'),
  )

  test('both kinds are in the file', () => {
    expect(safe.map(({ expect }) => expect)).toContain('accept')
    expect(unsafe.map(({ expect }) => expect)).toContain('accept')
  })
})

describe('the tree of this project’s own vectors', () => {
  const leaves = Array.from({ length: 300 }, (_, i) => leafHash(encodeUtf8(`entry-${i}`)))
  const mth = rangeHash(leaves)
  const tiles = MemoryTiles.of(leaves)
  const base64 = (hashes: readonly Uint8Array[]): string[] => hashes.map(toBase64)

  test.each(Object.entries(genTree.roots))('has its root at size %s', (text, root) => {
    const { tree } = growTree(EMPTY_TREE, slab(leaves.slice(0, size(text))))
    expect(toBase64(tree.root)).toBe(root)
    expect(toBase64(mth(0, size(text)))).toBe(root)
  })

  test('has these proofs of inclusion', async () => {
    for (const c of genTree.cases.filter(({ op }) => op === 'inclusion')) {
      const [index, treeSize] = [size(c.leaf_index!), size(c.tree_size!)]
      expect(toBase64(leaves[index]!)).toBe(c.leaf_hash)
      expect(base64(await proveInclusion(tiles, index, treeSize))).toEqual(c.path)
      expect(base64(inclusionRanges(index, treeSize).map(({ begin, end }) => mth(begin, end)))).toEqual(
        c.path,
      )
      verifyInclusion({
        index,
        size: treeSize,
        leaf: bytes(c.leaf_hash!),
        path: all(c.path),
        root: mth(0, treeSize),
      })
    }
  })

  test('has these proofs of consistency', async () => {
    for (const c of genTree.cases.filter(({ op }) => op === 'consistency')) {
      const [oldSize, newSize] = [size(c.first!), size(c.second!)]
      expect(base64(await proveConsistency(tiles, oldSize, newSize))).toEqual(c.path)
      expect(base64(consistencyRanges(oldSize, newSize).map(({ begin, end }) => mth(begin, end)))).toEqual(
        c.path,
      )
      const [oldRoot, newRoot] = [mth(0, oldSize), mth(0, newSize)]
      verifyConsistency({ oldSize, newSize, oldRoot, newRoot, path: all(c.path) })
    }
  })

  test('has these proofs of subtrees', async () => {
    for (const c of genTree.cases.filter(({ op }) => op === 'subtree')) {
      const [start, end, treeSize] = [size(c.start!), size(c.end!), size(c.tree_size!)]
      expect(toBase64(mth(start, end))).toBe(c.subtree_hash)
      expect(base64(await proveSubtree(tiles, start, end, treeSize))).toEqual(c.path)
      expect(base64(subtreeRanges(start, end, treeSize).map(({ begin, end }) => mth(begin, end)))).toEqual(
        c.path,
      )
      const [nodeHash, root] = [bytes(c.subtree_hash!), mth(0, treeSize)]
      verifySubtreeConsistency({ start, end, size: treeSize, nodeHash, path: all(c.path), root })
    }
  })

  test('every case is of one of these three kinds', () => {
    expect(new Set(genTree.cases.map(({ op }) => op))).toEqual(
      new Set(['inclusion', 'consistency', 'subtree']),
    )
  })
})

// The text around it is a tree note of the Go checksum database, another format than tlog-checkpoint's.
test('the root in Go’s tree note is the RFC 6962 leaf hash of its record', () => {
  for (const { hash_input_record, text } of tlog.tree_note) {
    expect(text.split('\n')[2]).toBe(toBase64(leafHash(encodeUtf8(hash_input_record))))
  }
})
