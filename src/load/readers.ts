import { parseHex } from '../bytes/hex.ts'
import { hasCode } from '../errors.ts'
import { asHash, type Hash } from '../merkle/hash.ts'
import { verifyInclusion } from '../merkle/verify.ts'
import { type Exchange, jsonOf, type RawAnswer } from './connection.ts'
import type { Sample } from './load.ts'
import { requestHead, type Target } from './target.ts'

/** A leaf as a reader was told of it, under a proof that was verified. */
export interface ReadLeaf {
  readonly index: number
  readonly leafHash: Hash
}

/** What the readers of one run have in common. */
export interface Reading {
  readonly target: Target
  /** A verified head: proofs are asked for its size and verified against its root hash. */
  head(): { readonly size: number; readonly root: Hash }
  readonly sample: Sample<ReadLeaf>
  /** Leaf hashes to ask by; asks by index if left out. */
  readonly leafHashes?: readonly string[] | undefined
}

/** Asks for inclusion proofs of leaves at random, and verifies each of them. */
export class ProofReader implements Exchange {
  readonly #reading: Reading
  #index: number | undefined
  #leafHash: string | undefined
  #head: { readonly size: number; readonly root: Hash }

  constructor(reading: Reading) {
    this.#reading = reading
    this.#head = reading.head()
  }

  request(): Uint8Array {
    const { target, leafHashes } = this.#reading
    this.#head = this.#reading.head()
    const { size } = this.#head
    this.#index = leafHashes ? undefined : Math.floor(Math.random() * size)
    this.#leafHash = leafHashes?.[Math.floor(Math.random() * leafHashes.length)]
    const leaf = this.#leafHash === undefined ? `index=${this.#index}` : `hash=${this.#leafHash}`
    return requestHead(target, 'GET', `v1/proofs/inclusion?${leaf}&size=${size}`)
  }

  check({ status, body }: RawAnswer): string | undefined {
    if (status !== 200) return `status ${status}`
    const { index, leafHash, path } = jsonOf(body)
    if (typeof index !== 'number' || typeof leafHash !== 'string' || !Array.isArray(path))
      return 'no inclusion proof'
    if (this.#index !== undefined && index !== this.#index) return 'a proof of another index'
    if (this.#leafHash !== undefined && leafHash !== this.#leafHash) return 'a proof of another leaf hash'
    return this.#verify(index, leafHash, path)
  }

  #verify(index: number, leafHash: string, path: readonly unknown[]): string | undefined {
    try {
      const leaf = hashOf(leafHash)
      verifyInclusion({ ...this.#head, index, leaf, path: path.map(hashOf) })
      this.#reading.sample.offer(() => ({ index, leafHash: leaf }))
      return undefined
    } catch (error) {
      if (!hasCode(error, 'bad_proof', 'malformed', 'out_of_range')) throw error
      return `a proof that does not verify: ${error.message}`
    }
  }
}

function hashOf(hex: unknown): Hash {
  return asHash(parseHex(String(hex), 'answer'), 'answer')
}

/** Asks for paths in turns and looks at status and length only: for tiles, whose content somebody else verifies. */
export class PathReader implements Exchange {
  readonly #requests: readonly Buffer[]
  readonly #bytes: number
  #next: number

  /**
   * @param bytes length that every answer must have
   * @param first where in the list to begin, so that connections do not run in step
   */
  constructor(target: Target, paths: readonly string[], bytes: number, first = 0) {
    this.#requests = paths.map((path) => requestHead(target, 'GET', path))
    this.#bytes = bytes
    this.#next = first
  }

  request(): Uint8Array {
    return this.#requests[this.#next++ % this.#requests.length]!
  }

  check({ status, body }: RawAnswer): string | undefined {
    if (status !== 200) return `status ${status}`
    return body.length === this.#bytes ? undefined : `${body.length} bytes instead of ${this.#bytes}`
  }
}
