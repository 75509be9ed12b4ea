import { parseBase64, toBase64 } from '../bytes/base64.ts'
import { concatBytes } from '../bytes/bytes.ts'
import { SteleError } from '../errors.ts'
import { formatKeyId, KEY_TYPE } from './key-id.ts'
import type { KeyType } from './key-id.ts'
import type { VerifierKey } from './note.ts'

/** Bytes in a seed. Ed25519 and ML-DSA-44 happen to agree. */
export const SEED_BYTES = 32

/** The private keys that exist in this form. */
const KINDS: Readonly<Record<number, string>> = {
  [KEY_TYPE.ed25519]: 'an Ed25519 key (type 0x01)',
  [KEY_TYPE.ed25519Cosignature]: 'the Ed25519 key of a witness or a mirror (type 0x04)',
  [KEY_TYPE.mlDsa44Cosignature]: 'an ML-DSA-44 key (type 0x06)',
}

const PREFIX = 'PRIVATE+KEY+'

/** The parts of a private key as text. Of the ID nothing is known yet: {@link checkSkeyId}. */
export interface Skey {
  readonly name: string
  /** As it stands there; that of the public key if all is well. */
  readonly hash: string
  readonly type: KeyType
  /** 32 bytes. Secret. */
  readonly seed: Uint8Array
}

/** True for what is meant as a private key, well-formed or not. */
export function isSkey(text: string): boolean {
  return text.startsWith(PREFIX)
}

/**
 * Takes apart a private key in the form of Go's note package, `PRIVATE+KEY+name+hash+base64`.
 *
 * @param types those that the caller can use
 * @throws SteleError `malformed`; the message never repeats any of the secret
 */
export function parseSkey(skey: string, types: readonly KeyType[]): Skey {
  if (!isSkey(skey)) throw malformed(`expected "${PREFIX}" at the beginning`)
  const { name, hash, base64 } = splitKey(skey.slice(PREFIX.length), 'signing key')
  const bytes = decodeSecret(base64)
  const type = types.find((candidate) => candidate === bytes?.[0])
  if (bytes?.length !== 1 + SEED_BYTES || type === undefined) {
    const other = bytes?.length === 1 + SEED_BYTES ? KINDS[bytes[0]!] : undefined
    if (other !== undefined) {
      const wanted = types.map((known) => KINDS[known]).join(', or ')
      throw malformed(`expected ${wanted}, got ${other}`)
    }
    const wanted = types.map((known) => `0x${known.toString(16).padStart(2, '0')}`).join(', ')
    throw malformed(`expected a type byte (${wanted}) and a seed of ${SEED_BYTES} bytes in base64`)
  }
  return { name, hash, type, seed: bytes.subarray(1) }
}

/**
 * Holds the ID of a private key against its public key.
 *
 * @throws SteleError `malformed`
 */
export function checkSkeyId({ hash }: Skey, verifier: VerifierKey): void {
  if (hash !== formatKeyId(verifier.id)) throw malformed('the key ID is not the one of this name and key')
}

/** A private key as text. It belongs in a file that its owner alone can read, and nowhere else. */
export function formatSkey({ name, id, type }: VerifierKey, seed: Uint8Array): string {
  return `${PREFIX}${name}+${formatKeyId(id)}+${toBase64(concatBytes(Uint8Array.of(type), seed))}`
}

/**
 * Splits `name+hash+base64`, the form of public and, behind a prefix, of private keys.
 *
 * @param what begins the error message, which does not repeat the text
 * @throws SteleError `malformed`
 */
export function splitKey(text: string, what: string): { name: string; hash: string; base64: string } {
  // At the first two only: base64 has plus signs of its own.
  const nameEnd = text.indexOf('+')
  const hashEnd = text.indexOf('+', nameEnd + 1)
  if (nameEnd < 0 || hashEnd < 0) {
    throw new SteleError('malformed', `${what}: expected <name>+<hash>+<base64>`)
  }
  return {
    name: text.slice(0, nameEnd),
    hash: text.slice(nameEnd + 1, hashEnd),
    base64: text.slice(hashEnd + 1),
  }
}

function decodeSecret(base64: string): Uint8Array | undefined {
  try {
    return parseBase64(base64, 'signing key')
  } catch {
    // Not handed on, as cause or otherwise: that message quotes its input, which is the secret.
    return undefined
  }
}

function malformed(message: string): SteleError {
  return new SteleError('malformed', `signing key: ${message}`)
}
