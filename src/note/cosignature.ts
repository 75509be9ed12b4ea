import * as ed25519 from '#ed25519'
import { encodeUtf8 } from '../bytes/text.ts'
import { hasCode, SteleError } from '../errors.ts'
import { parseCheckpoint } from './checkpoint.ts'
import type { Checkpoint } from './checkpoint.ts'
import { KEY_TYPE } from './key-id.ts'
import type { CosignerKeyType } from './key-id.ts'
import * as mldsa44 from '../crypto/mldsa44.ts'
import { ML_DSA_44_SIGNATURE_BYTES } from '../crypto/mldsa44-sizes.ts'
import type { VerifierKey } from './note.ts'
import { checkSubtree, subtreeMessage } from './subtree.ts'
import type { Subtree } from './subtree.ts'

/** When a cosignature says that it was made, and the signature proper. */
export interface Cosignature {
  /**
   * Seconds since 1970, 0 to 2^53 - 1. Undefined for a larger time, which is legal up to 2^63 - 1 and lies 285 million
   * years ahead. It is the cosigner's statement and was not compared with a clock.
   */
  readonly timestampSeconds: number | undefined
  /** 64 bytes for Ed25519, 2420 for ML-DSA-44. */
  readonly signature: Uint8Array
}

const TIMESTAMP_BYTES = 8
const ED25519_SIGNATURE_BYTES = 64
const MAX_TIMESTAMP = 2n ** 63n - 1n

/**
 * Takes apart the bytes behind the key ID in a cosigner's line (c2sp.org/tlog-cosignature). Verifies nothing.
 *
 * @param type of the key that the line is by
 * @throws SteleError `malformed` for another length, or a time above 2^63 - 1
 */
export function parseCosignature(bytes: Uint8Array, type: CosignerKeyType): Cosignature {
  return published(readDated(bytes, type))
}

/**
 * The bytes that an Ed25519 cosignature is made over: the whole text of the checkpoint, extension lines included, under a
 * header with the time. The name of the cosigner is not among them, so that each needs a key of its own.
 *
 * @param timestamp seconds since 1970
 */
export function cosignatureMessage(checkpointText: string, timestamp: bigint | number): Uint8Array {
  return encodeUtf8(`cosignature/v1\ntime ${timestamp}\n${checkpointText}`)
}

/** The tree of a checkpoint as the subtree that an ML-DSA-44 cosignature on it is about. */
export function wholeTree({ origin, size, root }: Checkpoint): Subtree {
  return { origin, start: 0, end: size, hash: root }
}

/** Verifies the lines of an Ed25519 cosigner (type 0x04) on checkpoints. A time of 0 is refused. */
export function cosignatureLineVerifier(publicKey: Uint8Array): VerifierKey['verify'] {
  const verify = ed25519.verifierOf(publicKey)
  return lineVerifier(KEY_TYPE.ed25519Cosignature, ({ text }, { timestamp, signature }) =>
    verify(cosignatureMessage(text, timestamp), signature),
  )
}

/**
 * Verifies the lines of an ML-DSA-44 key (type 0x06), a cosigner's or a log's, on checkpoints. A time of 0 is refused.
 * A valid signature does not cover extension lines: any party may have written those.
 */
export function subtreeLineVerifier(name: string, publicKey: Uint8Array): VerifierKey['verify'] {
  const verify = subtreeVerifier(name, publicKey)
  return lineVerifier(KEY_TYPE.mlDsa44Cosignature, ({ checkpoint }, dated) =>
    verify(wholeTree(checkpoint), dated),
  )
}

/**
 * Verifies a cosignature on a subtree, as `sign-subtree` of c2sp.org/tlog-witness answers it. One on a checkpoint is one
 * on its whole tree too.
 *
 * @param key of type 0x06
 * @param bytes what follows the key ID
 * @throws SteleError `bad_signature`, also for a time other than 0 where the start is not 0; `malformed` for bytes that
 *   are none, and for an origin that cannot be signed for; `out_of_range` for what is no subtree; `usage` for another key
 */
export function verifySubtree(key: VerifierKey, subtree: Subtree, bytes: Uint8Array): Cosignature {
  if (key.type !== KEY_TYPE.mlDsa44Cosignature) {
    throw new SteleError('usage', `${key.name}: expected an ML-DSA-44 key, no other signs subtrees`)
  }
  checkSubtree(subtree)
  const dated = readDated(bytes, key.type)
  // Only a subtree that starts at 0 can be a cosigner's largest tree.
  const mayHaveTime = subtree.start === 0 || dated.timestamp === 0n
  if (!mayHaveTime || !subtreeVerifier(key.name, key.publicKey)(subtree, dated)) {
    throw new SteleError(
      'bad_signature',
      `cosignature: the one by ${key.name} on [${subtree.start}, ${subtree.end}) does not verify`,
    )
  }
  return published(dated)
}

/** The bytes behind a key ID, with the time as it is on the wire. */
interface Dated {
  readonly timestamp: bigint
  readonly signature: Uint8Array
}

function subtreeVerifier(name: string, publicKey: Uint8Array): (subtree: Subtree, dated: Dated) => boolean {
  const verify = mldsa44.verifierOf(publicKey)
  return (subtree, { timestamp, signature }) => verify(subtreeMessage(name, timestamp, subtree), signature)
}

function lineVerifier(
  type: CosignerKeyType,
  verify: (cosigned: { text: string; checkpoint: Checkpoint }, dated: Dated) => boolean,
): VerifierKey['verify'] {
  return (text, bytes) => {
    try {
      const dated = readDated(bytes, type)
      // c2sp.org/tlog-witness: on a checkpoint the time MUST NOT be zero. A signature on the subtree [0, size), which a
      // witness gives without looking at what it has seen since, must not pass for one.
      return dated.timestamp !== 0n && verify({ text, checkpoint: parseCheckpoint(text) }, dated)
    } catch (error) {
      // No such bytes, no checkpoint, or one that does not fit here: this line cannot be a cosignature on it.
      if (hasCode(error, 'malformed', 'out_of_range')) return false
      throw error
    }
  }
}

function readDated(bytes: Uint8Array, type: CosignerKeyType): Dated {
  const length = type === KEY_TYPE.ed25519Cosignature ? ED25519_SIGNATURE_BYTES : ML_DSA_44_SIGNATURE_BYTES
  if (bytes.length !== TIMESTAMP_BYTES + length) {
    throw malformed(`expected a time of 8 bytes and a signature of ${length}, got ${bytes.length} bytes`)
  }
  const timestamp = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0)
  if (timestamp > MAX_TIMESTAMP) throw malformed(`expected a time of at most 2^63-1, got ${timestamp}`)
  return { timestamp, signature: bytes.subarray(TIMESTAMP_BYTES) }
}

function published({ timestamp, signature }: Dated): Cosignature {
  const fits = timestamp <= BigInt(Number.MAX_SAFE_INTEGER)
  return { timestampSeconds: fits ? Number(timestamp) : undefined, signature }
}

function malformed(message: string): SteleError {
  return new SteleError('malformed', `cosignature: ${message}`)
}
