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
 * Another implementation's look at every full tile: leaf hashes by @noble/hashes, the tree above them by
 * merkletreejs. The main path uses Node's own SHA-256 and our tree, so a mistake would have to be made twice.
 *
 * It stands between the auditor and the files, since leaf hashes can only be made from entries.
 */
export class SecondOpinion implements LogFiles {
  readonly #files: LogFiles
  /** Full bundles that were read and not judged yet: as many as the auditor reads ahead. */
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

/** Two implementations get different hashes of the same bytes: one of them, or the machine, is broken. */
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

/** Default options and a node hash of our own: measured to be RFC 6962's tree at every size, and so at 256. */
function otherRoot(leaves: readonly Uint8Array[]): Uint8Array {
  const hashNode = (children: Uint8Array): Buffer =>
    Buffer.from(sha256.create().update(Uint8Array.of(1)).update(children).digest())
  return new MerkleTree(
    leaves.map((leaf) => Buffer.from(leaf)),
    hashNode,
  ).getRoot()
}
