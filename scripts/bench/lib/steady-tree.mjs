// A tree in memory, to make proofs of: small, and nothing of it is measured.
import { consistencyRanges, coveringNodes, foldNodes, leafHash, nodeHash } from './stele.mjs'

export class SteadyTree {
  #leaves
  #nodes = new Map()

  constructor(size) {
    this.#leaves = Array.from({ length: size }, (_, i) => leafHash(Buffer.from(`leaf ${i}`)))
  }

  root(size) {
    return this.#range({ begin: 0, end: size })
  }

  /** RFC 6962 section 2.1.2. */
  consistency(oldSize, newSize) {
    return consistencyRanges(oldSize, newSize).map((range) => this.#range(range))
  }

  #range(range) {
    return foldNodes(coveringNodes(range).map(({ level, index }) => this.#node(level, index)))
  }

  #node(level, index) {
    if (level === 0) return this.#leaves[index]
    const key = `${level}/${index}`
    if (!this.#nodes.has(key)) {
      this.#nodes.set(key, nodeHash(this.#node(level - 1, 2 * index), this.#node(level - 1, 2 * index + 1)))
    }
    return this.#nodes.get(key)
  }
}
