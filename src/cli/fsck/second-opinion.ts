import { sha256 } from '@noble/hashes/sha2.js'
import { MerkleTree } from 'merkletreejs'
import { equalBytes } from '../../bytes/bytes.ts'
import { toHex } from '../../bytes/hex.ts'
import type { LogFiles } from '../../client/http-files.ts'
import { SteleError } from '../../errors.ts'
import { HASH_BYTES } from '../../merkle/hash.ts'
import { decodeBundle } from '../../tile/bundle.ts'

const FULL = 256

/**
 * Checks every full tile with another implementation: leaf hashes by @noble/hashes, the tree above them by
 * merkletreejs. The main path uses Node's SHA-256 and this program's tree, so both would have to make the same mistake.
 *
 * It wraps the files that the auditor reads, since leaf hashes are computed from entries.
 */
export class SecondOpinion implements LogFiles {
  readonly #files: LogFiles
  /** Full bundles that were read and not checked yet: at most as many as the auditor reads ahead. */
  readonly #bundles = new Map<number, Uint8Array>()

  constructor(files: LogFiles) {
    this.#files = files
  }

  checkpoint(): Promise<string> {
    return this.#files.checkpoint()
  }

  tile(level: number, index: number, width: number): Promise<Uint8Array | undefined> {
    return this.#files.tile(level, index, width)
  }

  async bundle(index: number, width: number): Promise<Uint8Array | undefined> {
    const bundle = await this.#files.bundle(index, width)
    if (bundle && width === FULL) this.#bundles.set(index, bundle)
    return bundle
  }

  /** For the auditor. @throws SecondOpinionDiffers */
  readonly judge = (tileIndex: number, leafHashes: Uint8Array, expectedRoot: Uint8Array): void => {
    const leaves = decodeBundle(this.#bundles.get(tileIndex)!, FULL).map(otherLeafHash)
    this.#bundles.delete(tileIndex)
    leaves.forEach((leaf, i) => {
      const ours = leafHashes.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES)
      if (!equalBytes(leaf, ours)) throw new SecondOpinionDiffers(`entry ${tileIndex * FULL + i}`, leaf, ours)
    })
    const root = otherRoot(leaves)
    if (!equalBytes(root, expectedRoot)) {
      throw new SecondOpinionDiffers(`tile 0/${tileIndex}`, root, expectedRoot)
    }
  }
}

/** Two implementations compute different hashes of the same bytes: one of them, or the machine, is broken. */
export class SecondOpinionDiffers extends SteleError {
  constructor(where: string, theirs: Uint8Array, ours: Uint8Array) {
    super(
      'corrupt',
      `${where}: the second implementation gets ${toHex(theirs)}, the first one ${toHex(ours)}`,
    )
  }
}

function otherLeafHash(entry: Uint8Array): Uint8Array {
  return sha256.create().update(Uint8Array.of(0)).update(entry).digest()
}

/** Default options with our own node hash: tested to give RFC 6962's tree at every size, including 256. */
function otherRoot(leaves: readonly Uint8Array[]): Uint8Array {
  const hashNode = (children: Uint8Array): Buffer =>
    Buffer.from(sha256.create().update(Uint8Array.of(1)).update(children).digest())
  return new MerkleTree(
    leaves.map((leaf) => Buffer.from(leaf)),
    hashNode,
  ).getRoot()
}
