import { hash } from 'node:crypto'

/** Writes the 32 bytes of SHA-256(input) to `out` at `outOffset`. */
export function sha256Into(out: Uint8Array, outOffset: number, input: Uint8Array): void {
  // For 65 bytes of input, making a Buffer for the result costs more than hashing it. A string of 32 Latin-1
  // characters (Node calls that encoding 'binary') is one small heap object. Copying it by hand is as fast as
  // Buffer's own latin1Write, which is not part of Node's documented API.
  const digest = hash('sha256', input, 'binary')
  for (let i = 0; i < digest.length; i++) out[outOffset + i] = digest.charCodeAt(i)
}
