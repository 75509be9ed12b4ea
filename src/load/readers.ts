import { parseHex } from '../bytes/hex.ts'
import { hasCode } from '../errors.ts'
import { asHash, type Hash } from '../merkle/hash.ts'
import { verifyInclusion } from '../merkle/verify.ts'
import { type Exchange, jsonOf, type RawAnswer } from './connection.ts'
import type { Sample } from './load.ts'
import { requestHead, type Target } from './target.ts'

/** A leaf as the log reported it to a reader, with a verified proof. */
export interface ReadLeaf {
  readonly index: number
  readonly leafHash: Hash
}

/** What the readers of one run share. */
export interface Reading {
  readonly target: Target
  /** A verified head. Proofs are requested for its size and verified against its root hash. */
  head(): { readonly size: number; readonly root: Hash }
  readonly sample: Sample<ReadLeaf>
  /** Leaf hashes to ask by; if left out, readers ask by index. */
  readonly leafHashes?: readonly string[] | undefined
}

/** Requests inclusion proofs of random leaves, and verifies each proof. */
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

/** Requests paths in turn and checks only status and length. Used for tiles, whose content other code verifies. */
export class PathReader implements Exchange {
  readonly #requests: readonly Buffer[]
  readonly #bytes: number
  #next: number

  /**
   * @param bytes the length that every response must have
   * @param first index of the first path, so that connections do not request the same path at the same time
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
