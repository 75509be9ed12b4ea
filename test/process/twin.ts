import { rangeHash, referenceLeaf, type RangeHash } from '../reference/tree.ts'

/** A tile of a tree, as its path names it. */
export interface Tile {
  readonly level: number
  readonly index: number
  readonly width: number
}

/** The entries of a log as they were read from it, and the tree that the RFC's recursion makes of them. */
export class Twin {
  readonly entries: string[] = []
  readonly #leaves: Uint8Array[] = []
  readonly #indexes = new Map<string, number>()
  readonly #mth: RangeHash = rangeHash(this.#leaves)

  get size(): number {
    return this.entries.length
  }

  /** @throws Error for an entry that is in the tree already: this log recognises duplicates */
  append(entry: string): void {
    const known = this.#indexes.get(entry)
    if (known !== undefined) throw new Error(`index ${this.size} holds the same entry as index ${known}`)
    this.#indexes.set(entry, this.size)
    this.entries.push(entry)
    this.#leaves.push(referenceLeaf(Buffer.from(entry, 'latin1')))
  }

  indexOf(entry: string): number | undefined {
    return this.#indexes.get(entry)
  }

  leaf(index: number): Uint8Array {
    const leaf = this.#leaves[index]
    if (!leaf) throw new Error(`there is no index ${index} in a tree of ${this.size}`)
    return leaf
  }

  /** The root hash of the first `size` entries. */
  root(size: number): Uint8Array {
    return this.#mth(0, size)
  }

  /** All tiles of the tree, the partial ones included, but for full ones that `known` entries had already. */
  *tiles(known: number): Generator<Tile> {
    for (let leaves = 1, level = 0; leaves <= this.size; leaves *= 256, level++) {
      const hashes = Math.floor(this.size / leaves)
      for (let index = Math.floor(known / leaves / 256); index * 256 < hashes; index++) {
        yield { level, index, width: Math.min(256, hashes - index * 256) }
      }
    }
  }

  /** What a tile must hold. */
  tile({ level, index, width }: Tile): Buffer {
    const leaves = 256 ** level
    const hashes = Array.from({ length: width }, (_, i) => {
      const begin = (index * 256 + i) * leaves
      return this.#mth(begin, begin + leaves)
    })
    return Buffer.concat(hashes)
  }
}
