import { invariant } from '../errors.ts'
import { EMPTY_ROOT, HASH_BYTES, hashNodeInto, type Hash } from '../merkle/hash.ts'
import { checkSize, coveringNodes } from '../merkle/range.ts'
import { TileHashes } from './hashes.ts'
import { hashesAt, placeOf } from './layout.ts'
import { TILE_WIDTH } from './path.ts'

/** The right edge of a tree: all that is needed to append to it. */
export interface Edge {
  /** For each tile level the hashes of its partial tile, 0 to 255 of them. */
  readonly partials: readonly Uint8Array[]
  /** The perfect subtrees that make up the tree, largest first: one for each one bit of its size. */
  readonly subtrees: Uint8Array
}

/** A tree at one size. Never changed: growing makes another. */
export interface Tree {
  /** Leaves, 0 to 2^53 - 1. */
  readonly size: number
  readonly root: Hash
  readonly edge: Edge
}

/** A tile that holds all of its 256 hashes, and so never changes again. */
export interface FullTile {
  readonly level: number
  readonly index: number
  /** 8,192 bytes. */
  readonly hashes: Uint8Array
}

/** The tree without leaves, from which every log grows. */
export const EMPTY_TREE: Tree = {
  size: 0,
  root: EMPTY_ROOT,
  edge: { partials: [], subtrees: new Uint8Array(0) },
}

const TILE_BYTES = TILE_WIDTH * HASH_BYTES
/** One for each bit of a size below 2^53, and one that is about to be merged. */
const MAX_SUBTREES = 54

/**
 * Appends leaves. Pure: `tree` is left as it is, and all that is read comes from it.
 *
 * @param leafHashes 32 bytes for each new leaf
 * @returns the new tree, and the tiles that became full, in the order in which they did, lower levels first
 * @throws SteleError `out_of_range` when the tree would have more than 2^53 - 1 leaves
 */
export function growTree(tree: Tree, leafHashes: Uint8Array): { tree: Tree; tiles: FullTile[] } {
  const count = leafHashes.length / HASH_BYTES
  invariant(Number.isInteger(count), 'leaf hashes have 32 bytes each')
  checkSize(tree.size + count, 'tree size')
  if (count === 0) return { tree, tiles: [] }
  const edge = new GrowingEdge(tree)
  for (let i = 0; i < count; i++) edge.push(leafHashes, i * HASH_BYTES)
  return { tree: edge.tree(), tiles: edge.tiles }
}

/** The hashes of the partial tile of a level, 0 to 255 of them. */
export function edgeTile(tree: Tree, level: number): Uint8Array {
  return tree.edge.partials[level] ?? new Uint8Array(0)
}

/**
 * Rebuilds a tree from the partial tiles of its levels, when a log is opened.
 *
 * @param partials for each tile level the size % 256^(level+1) / 256^level hashes of its partial tile; levels above the
 *   last one that has any may be left out
 * @throws SteleError `out_of_range` unless size is an integer from 0 to 2^53 - 1
 */
export function rebuildTree(size: number, partials: readonly Uint8Array[]): Tree {
  checkSize(size, 'tree size')
  for (let level = 0; level < partials.length || hashesAt(level, size) > 0; level++) {
    const width = hashesAt(level, size) % TILE_WIDTH
    const given = (partials[level]?.length ?? 0) / HASH_BYTES
    invariant(given === width, `partial tile of level ${level}: expected ${width} hashes, got ${given}`)
  }
  if (size === 0) return EMPTY_TREE
  const tiles = partials.map((bytes) => (bytes.length > 0 ? new TileHashes(bytes) : undefined))
  const nodes = coveringNodes({ begin: 0, end: size }).map((node) => {
    const { level, height, position } = placeOf(node)
    return tiles[level]!.node(height, position)
  })
  const subtrees = new Uint8Array(nodes.length * HASH_BYTES)
  nodes.forEach((hash, i) => subtrees.set(hash, i * HASH_BYTES))
  return {
    size,
    root: rootOf(subtrees),
    edge: { partials: partials.map((bytes) => bytes.slice()), subtrees },
  }
}

/** The edge while leaves are pushed on it: two slabs that belong to it alone. */
class GrowingEdge {
  readonly tiles: FullTile[] = []
  #size: number
  /** Perfect subtrees, largest first. Two neighbours of one size lie side by side, as hashing wants them. */
  readonly #stack = new Uint8Array(MAX_SUBTREES * HASH_BYTES)
  #depth: number
  readonly #partials: { bytes: Uint8Array; width: number; owned: boolean }[]

  constructor({ size, edge }: Tree) {
    this.#size = size
    this.#stack.set(edge.subtrees)
    this.#depth = edge.subtrees.length / HASH_BYTES
    this.#partials = edge.partials.map((bytes) => ({ bytes, width: bytes.length / HASH_BYTES, owned: false }))
  }

  push(slab: Uint8Array, offset: number): void {
    this.#stack.set(slab.subarray(offset, offset + HASH_BYTES), this.#depth * HASH_BYTES)
    this.#depth++
    this.#addToTile(0)
    // The new leaf completes one subtree for each one bit at the end of its index.
    let rest = this.#size
    for (let level = 1; rest % 2 === 1; level++) {
      this.#depth--
      const left = (this.#depth - 1) * HASH_BYTES
      hashNodeInto(this.#stack, left, this.#stack, left)
      if (level % 8 === 0) this.#addToTile(level / 8)
      rest = (rest - 1) / 2
    }
    this.#size++
  }

  tree(): Tree {
    const subtrees = this.#stack.slice(0, this.#depth * HASH_BYTES)
    const partials = this.#partials.map(({ bytes, width }) => bytes.subarray(0, width * HASH_BYTES))
    return { size: this.#size, root: rootOf(subtrees), edge: { partials, subtrees } }
  }

  /** Adds the newest subtree to the partial tile of a level. */
  #addToTile(level: number): void {
    const partial = (this.#partials[level] ??= { bytes: new Uint8Array(TILE_BYTES), width: 0, owned: true })
    if (!partial.owned) {
      // The bytes belong to the tree that is being grown from.
      const copy = new Uint8Array(TILE_BYTES)
      copy.set(partial.bytes)
      partial.bytes = copy
      partial.owned = true
    }
    const at = (this.#depth - 1) * HASH_BYTES
    partial.bytes.set(this.#stack.subarray(at, at + HASH_BYTES), partial.width * HASH_BYTES)
    partial.width++
    if (partial.width < TILE_WIDTH) return
    // The leaf being pushed is the last one below this tile, so its index says which tile it is.
    const index = (this.#size + 1) / TILE_WIDTH ** (level + 1) - 1
    this.tiles.push({ level, index, hashes: partial.bytes })
    this.#partials[level] = { bytes: new Uint8Array(TILE_BYTES), width: 0, owned: true }
  }
}

/** Folds perfect subtrees, largest first, from the right (RFC 6962 section 2.1). */
function rootOf(subtrees: Uint8Array): Hash {
  const slab = subtrees.slice()
  for (let left = slab.length - 2 * HASH_BYTES; left >= 0; left -= HASH_BYTES) {
    hashNodeInto(slab, left, slab, left)
  }
  return slab.subarray(0, HASH_BYTES) as Hash
}
