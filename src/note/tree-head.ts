import * as p256 from '#p256'
import { putUint64 } from '../bytes/integer.ts'
import { hasCode, SteleError } from '../errors.ts'
import { type Hash, sha256 } from '../merkle/hash.ts'
import { parseCheckpoint } from './checkpoint.ts'
import { formatDigitallySigned, parseDigitallySigned } from './ct-structs.ts'
import { parseTimestamped } from './timestamped.ts'

/** A tree head of RFC 6962: what a checkpoint says, with a time and without the origin. */
export interface TreeHead {
  /** Milliseconds since 1970, 0 to 2^53 - 1. */
  readonly timestampMs: number
  /** Number of leaves, 0 to 2^53 - 1. */
  readonly size: number
  readonly root: Hash
}

/** A tree head with its signature, verified or not. */
export interface SignedTreeHead extends TreeHead {
  /** A `DigitallySigned` structure. */
  readonly signature: Uint8Array
}

/** Signs tree heads with a P-256 key. */
export interface TreeHeadSigner {
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array
  readonly logId: Hash
  sign(head: TreeHead): SignedTreeHead
}

const TREE_HEAD_BYTES = 50
const VERSION_1 = 0
const TREE_HASH = 1

/** The 50 bytes that the signature of a tree head is made over (`TreeHeadSignature`, RFC 6962 section 3.5). */
export function treeHeadBytes({ timestampMs, size, root }: TreeHead): Uint8Array {
  const bytes = new Uint8Array(TREE_HEAD_BYTES)
  bytes[0] = VERSION_1
  bytes[1] = TREE_HASH
  putUint64(bytes, 2, timestampMs)
  putUint64(bytes, 10, size)
  bytes.set(root, 18)
  return bytes
}

/** LogID: the SHA-256 of a log's public key as SubjectPublicKeyInfo, DER (RFC 6962 section 3.2). */
export function logId(spki: Uint8Array): Hash {
  return sha256(spki)
}

/**
 * Prepares a P-256 key to sign tree heads as RFC 6962 wants them.
 *
 * @param pkcs8 private key, PKCS #8 DER
 * @throws SteleError `malformed` for any other key
 */
export function treeHeadSigner(pkcs8: Uint8Array): TreeHeadSigner {
  const sign = p256.signerOf(pkcs8)
  const spki = p256.spkiOf(pkcs8)
  return {
    spki,
    logId: logId(spki),
    sign(head) {
      const signature = formatDigitallySigned({
        algorithm: 'ecdsa-sha256',
        signature: sign(treeHeadBytes(head)),
      })
      return { ...head, signature }
    },
  }
}

/**
 * Prepares a P-256 public key to verify tree heads.
 *
 * @param spki SubjectPublicKeyInfo, DER
 * @returns a function that throws SteleError `bad_signature` for a signature that does not verify, and `malformed` for
 *   one that is none
 * @throws SteleError `malformed` for any other key
 */
export function treeHeadVerifier(spki: Uint8Array): (head: SignedTreeHead) => void {
  if (!p256.isUsableSpki(spki)) {
    throw new SteleError('malformed', 'public key: expected a P-256 key as SubjectPublicKeyInfo DER')
  }
  const verify = p256.verifierOf(spki)
  return (head) => {
    const { algorithm, signature } = parseDigitallySigned(head.signature)
    if (algorithm !== 'ecdsa-sha256' || !verify(treeHeadBytes(head), signature)) {
      throw new SteleError('bad_signature', `tree head: the signature at size ${head.size} does not verify`)
    }
  }
}

/**
 * Verifies the signature lines of type 0x05 (c2sp.org/static-ct-api): the signature of a tree head of RFC 6962, on the
 * checkpoint that says the same.
 *
 * @throws SteleError `malformed` for a key that is not P-256
 */
export function treeHeadLineVerifier(
  name: string,
  spki: Uint8Array,
): (text: string, bytes: Uint8Array) => boolean {
  const verify = treeHeadVerifier(spki)
  return (text, bytes) => {
    try {
      verify(treeHeadOfLine(name, text, bytes))
      return true
    } catch (error) {
      if (hasCode(error, 'bad_signature', 'malformed', 'out_of_range', 'wrong_origin')) return false
      throw error
    }
  }
}

/**
 * The tree head that a checkpoint with a line of type 0x05 stands for. Verifies no signature.
 *
 * @param name key name of the line
 * @param bytes what follows the key ID
 * @throws SteleError `wrong_origin` unless the origin is the key name; `malformed`; `out_of_range`
 */
export function treeHeadOfLine(name: string, text: string, bytes: Uint8Array): SignedTreeHead {
  const { origin, size, root, extensions } = parseCheckpoint(text)
  // The signature covers neither: the origin is fixed by the key name, and any party could have added extensions.
  if (origin !== name) throw new SteleError('wrong_origin', 'tree head: expected the key name as the origin')
  if (extensions.length > 0) throw new SteleError('malformed', 'tree head: expected no extension lines')
  const { timestamp, signature } = parseTimestamped(bytes, 'tree head')
  return { timestampMs: timestamp, size, root, signature }
}
