import { sha256 } from '@noble/hashes/sha2.js'

/** Writes the 32 bytes of SHA-256(input) to `out` at `outOffset`. */
export function sha256Into(out: Uint8Array, outOffset: number, input: Uint8Array): void {
  out.set(sha256(input), outOffset)
}
