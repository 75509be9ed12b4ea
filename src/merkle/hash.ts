import { sha256Into } from '#sha256'
import { SteleError } from '../errors.ts'

declare const brand: unique symbol

/** 32 bytes that are a SHA-256 value, so that an entry cannot slip in as its hash. Never written to. */
export type Hash = Uint8Array & { readonly [brand]: 'Hash' }

/** Bytes in a hash. */
export const HASH_BYTES = 32

/** The root hash of the tree of size 0: SHA-256 of nothing (RFC 6962 section 2.1). */
export const EMPTY_ROOT: Hash = sha256(new Uint8Array(0))

// Different first bytes for leaves and nodes keep a node from being passed off as an entry (RFC 6962 section 2.1).
const LEAF_PREFIX = 0x00
const NODE_PREFIX = 0x01

// Reused for every node: hashing is synchronous and nothing is kept in it between two calls.
const nodeInput = new Uint8Array(1 + 2 * HASH_BYTES)
nodeInput[0] = NODE_PREFIX

// The same for leaves, as long as the longest entry of c2sp.org/tlog-tiles: allocating for each entry would
// cost as much as hashing it.
const leafInput = new Uint8Array(1 + 65_535)

/**
 * The same bytes as a hash, not copied.
 *
 * @param what names the value in the error message
 * @throws SteleError `malformed` unless there are 32 bytes
 */
export function asHash(bytes: Uint8Array, what: string): Hash {
  if (bytes.length !== HASH_BYTES) {
    throw new SteleError('malformed', `${what}: expected a hash of ${HASH_BYTES} bytes, got ${bytes.length}`)
  }
  return bytes as Hash
}

/** SHA-256 of the bytes as they are. */
export function sha256(bytes: Uint8Array): Hash {
  const out = new Uint8Array(HASH_BYTES)
  sha256Into(out, 0, bytes)
  return out as Hash
}

/** SHA-256(0x00 || entry), the hash of a leaf (RFC 6962 section 2.1). An empty entry is legal. */
export function leafHash(entry: Uint8Array): Hash {
  const out = new Uint8Array(HASH_BYTES)
  hashLeafInto(out, 0, entry)
  return out as Hash
}

/** SHA-256(0x01 || left || right), the hash of a node (RFC 6962 section 2.1). */
export function nodeHash(left: Hash, right: Hash): Hash {
  const out = new Uint8Array(HASH_BYTES)
  nodeInput.set(left, 1)
  nodeInput.set(right, 1 + HASH_BYTES)
  sha256Into(out, 0, nodeInput)
  return out as Hash
}

/** For hot loops: writes the leaf hash of `entry` to `out` at `outOffset`. */
export function hashLeafInto(out: Uint8Array, outOffset: number, entry: Uint8Array): void {
  const length = 1 + entry.length
  const input = length <= leafInput.length ? leafInput : new Uint8Array(length)
  input[0] = LEAF_PREFIX
  input.set(entry, 1)
  sha256Into(out, outOffset, input.subarray(0, length))
}

/**
 * For hot loops: hashes two children that lie side by side in a slab.
 *
 * @param leftOffset where in `slab` the 64 bytes of both children begin
 */
export function hashNodeInto(out: Uint8Array, outOffset: number, slab: Uint8Array, leftOffset: number): void {
  nodeInput.set(slab.subarray(leftOffset, leftOffset + 2 * HASH_BYTES), 1)
  sha256Into(out, outOffset, nodeInput)
}
