import { encodeUtf8 } from '../../src/bytes/text.ts'
import { EMPTY_ROOT, type Hash } from '../../src/merkle/hash.ts'
import { formatCheckpoint } from '../../src/note/checkpoint.ts'
import { generateSigningKey } from '../../src/note/key.ts'
import { signNote, type NoteSigner, type VerifierKey } from '../../src/note/note.ts'
import { formatAddCheckpoint } from '../../src/note/add-checkpoint.ts'
import type { WitnessedLog } from '../../src/witness/logs.ts'
import {
  rangeHash,
  referenceConsistency,
  referenceLeaf,
  referenceSubtree,
  type RangeHash,
} from '../reference/tree.ts'

/** A signer whose public key is known. */
export type FakeSigner = NoteSigner & { readonly verifier: VerifierKey }

interface Signing {
  readonly extensions?: readonly string[]
  readonly signers?: readonly NoteSigner[]
}

/** A log that signs whatever it is asked to, several histories included. Its tree is the slow one. */
export class FakeLog {
  readonly origin: string
  readonly signers: readonly FakeSigner[]
  readonly #leaves: Uint8Array[]
  readonly #mth: RangeHash

  constructor(
    origin: string,
    size: number,
    signers: readonly FakeSigner[] = [testSigner(origin)],
    leaves?: Uint8Array[],
  ) {
    this.origin = origin
    this.signers = signers
    this.#leaves = leaves ?? leavesOf(origin, 0, size)
    this.#mth = rangeHash(this.#leaves)
  }

  /** The same log with another history from leaf `at` on. */
  fork(at: number): FakeLog {
    const other = leavesOf(`${this.origin}, forked`, at, this.#leaves.length)
    return new FakeLog(this.origin, 0, this.signers, [...this.#leaves.slice(0, at), ...other])
  }

  /** What a witness is told of it. */
  get asWitnessed(): WitnessedLog {
    return { origin: this.origin, keys: this.signers.map(({ verifier }) => verifier) }
  }

  root(size: number): Hash {
    return size === 0 ? EMPTY_ROOT : (this.#mth(0, size) as Hash)
  }

  /** A signed checkpoint. */
  checkpoint(size: number, { extensions = [], signers = this.signers }: Signing = {}): Promise<string> {
    const text = formatCheckpoint({ origin: this.origin, size, root: this.root(size), extensions })
    return signNote(text, signers)
  }

  proof(oldSize: number, newSize: number): Hash[] {
    return oldSize === 0 ? [] : (referenceConsistency(this.#mth, oldSize, newSize) as Hash[])
  }

  /** The hash of a subtree, and its proof. */
  subtree(start: number, end: number, size: number): { hash: Uint8Array; path: Uint8Array[] } {
    return { hash: this.#mth(start, end), path: referenceSubtree(this.#mth, start, end, size) }
  }

  /** The body of an honest `add-checkpoint`. */
  async request(oldSize: number, newSize: number): Promise<Uint8Array> {
    return addCheckpoint(oldSize, this.proof(oldSize, newSize), await this.checkpoint(newSize))
  }
}

/** The body of an `add-checkpoint`. */
export function addCheckpoint(oldSize: number, path: readonly Uint8Array[], note: string): Uint8Array {
  return encodeUtf8(formatAddCheckpoint(oldSize, path as Hash[], note))
}

/** An Ed25519 key that is the same in every run. */
export function testSigner(name: string, seed = 1): FakeSigner {
  return generateSigningKey(name, new Uint8Array(32).fill(seed))
}

function leavesOf(label: string, begin: number, end: number): Uint8Array[] {
  return Array.from({ length: end - begin }, (_, i) => referenceLeaf(encodeUtf8(`${label}: ${begin + i}`)))
}
