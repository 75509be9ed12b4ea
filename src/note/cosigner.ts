import * as ed25519 from '#ed25519'
import { decodeUtf8 } from '../bytes/text.ts'
import { invariant, SteleError } from '../errors.ts'
import { parseCheckpoint } from './checkpoint.ts'
import { cosignatureMessage, wholeTree } from './cosignature.ts'
import { KEY_TYPE } from './key-id.ts'
import type { CosignerKeyType } from './key-id.ts'
import { generateSigningKey, verifierKey } from './key.ts'
import * as mldsa44 from '../crypto/mldsa44.ts'
import type { NoteSignature, NoteSigner, VerifierKey } from './note.ts'
import { checkSkeyId, formatSkey, parseSkey, SEED_BYTES } from './skey.ts'
import { checkSubtree, subtreeMessage } from './subtree.ts'
import type { Subtree } from './subtree.ts'
import { formatTimestamped } from './timestamped.ts'

/**
 * A cosigner with a name and a key ID: a key in memory, or a KMS. It signs what it is given. The caller must have
 * checked that it has seen no other history of the log, and must have stored what is about to be signed.
 */
export interface Cosigner {
  readonly name: string
  /** 0 to 2^32 - 1. */
  readonly id: number
  readonly type: CosignerKeyType
  /**
   * Signs a checkpoint; the line comes back, to be put on the note.
   *
   * @param checkpointText with all its lines and its last LF, without signatures
   * @param timestampSeconds since 1970, 1 to 253402300799 (the end of the year 9999)
   * @throws SteleError `malformed` and `out_of_range` for what is no checkpoint
   */
  cosign(checkpointText: string, timestampSeconds: number): NoteSignature | Promise<NoteSignature>
  /**
   * Signs a subtree with the time 0, which states nothing about the largest tree seen.
   *
   * @throws SteleError `usage` by an Ed25519 key, which has no such statement; `out_of_range` for what is no subtree;
   *   `malformed` for an origin that does not fit
   */
  signSubtree(subtree: Subtree): NoteSignature | Promise<NoteSignature>
}

// Larger than any honest clock's answer in seconds, and smaller than today in milliseconds.
const MAX_SECONDS = 253_402_300_799

/** A cosigner's private key in memory. Printing or serialising it does not show the seed. */
export class CosignerKey implements Cosigner {
  readonly name: string
  readonly id: number
  readonly type: CosignerKeyType
  readonly verifier: VerifierKey
  readonly #seed: Uint8Array
  readonly #sign: (message: Uint8Array) => Uint8Array

  /** Use {@link generateCosignerKey} or {@link parseCosignerKey}. */
  constructor(name: string, type: CosignerKeyType, seed: Uint8Array) {
    if (seed.length !== SEED_BYTES) throw malformed('expected a seed of 32 bytes')
    const algorithm = type === KEY_TYPE.ed25519Cosignature ? ed25519 : mldsa44
    this.verifier = verifierKey(name, type, algorithm.publicKey(seed))
    this.name = name
    this.id = this.verifier.id
    this.type = type
    this.#seed = seed.slice()
    this.#sign = algorithm.signerOf(this.#seed)
  }

  cosign(checkpointText: string, timestampSeconds: number): NoteSignature {
    checkSeconds(timestampSeconds)
    const checkpoint = parseCheckpoint(checkpointText)
    const message =
      this.type === KEY_TYPE.ed25519Cosignature
        ? cosignatureMessage(checkpointText, timestampSeconds)
        : subtreeMessage(this.name, timestampSeconds, wholeTree(checkpoint))
    return this.#line(timestampSeconds, message)
  }

  signSubtree(subtree: Subtree): NoteSignature {
    if (this.type !== KEY_TYPE.mlDsa44Cosignature) {
      throw new SteleError('usage', `${this.name}: only ML-DSA-44 keys sign subtrees`)
    }
    checkSubtree(subtree)
    return this.#line(0, subtreeMessage(this.name, 0, subtree))
  }

  /** The private key as text. It belongs in a file that its owner alone can read, and nowhere else. */
  formatSecret(): string {
    return formatSkey(this.verifier, this.#seed)
  }

  #line(timestamp: number, message: Uint8Array): NoteSignature {
    const signature = formatTimestamped({ timestamp, signature: this.#sign(message) })
    return { name: this.name, id: this.id, signature }
  }
}

/**
 * Makes a cosigner's key.
 *
 * @param seed 32 unpredictable bytes; random by default
 * @throws SteleError `malformed` for an invalid key name (for ML-DSA-44 also one over 255 bytes), or for a seed of
 *   another length
 */
export function generateCosignerKey(name: string, type: CosignerKeyType, seed?: Uint8Array): CosignerKey {
  return new CosignerKey(name, type, seed ?? crypto.getRandomValues(new Uint8Array(SEED_BYTES)))
}

/**
 * Reads a private key for cosigning, `PRIVATE+KEY+name+hash+base64`: of type 0x04 or 0x06, or an Ed25519 key for notes
 * (0x01), which becomes one of type 0x04 and gets the ID of that. The ID in the text is that of the type in the text.
 *
 * @throws SteleError `malformed`; the message never repeats any of the secret
 */
export function parseCosignerKey(skey: string): CosignerKey {
  const types = [KEY_TYPE.ed25519, KEY_TYPE.ed25519Cosignature, KEY_TYPE.mlDsa44Cosignature]
  const parts = parseSkey(skey, types)
  const { name, type, seed } = parts
  if (type === KEY_TYPE.mlDsa44Cosignature || type === KEY_TYPE.ed25519Cosignature) {
    const key = generateCosignerKey(name, type, seed)
    checkSkeyId(parts, key.verifier)
    return key
  }
  checkSkeyId(parts, generateSigningKey(name, seed).verifier)
  return generateCosignerKey(name, KEY_TYPE.ed25519Cosignature, seed)
}

/** Inverse of {@link parseCosignerKey}, under type 0x04 for a key that was read as 0x01: a secret. */
export function formatCosignerKey(key: CosignerKey): string {
  return key.formatSecret()
}

/**
 * A cosigner as a signer of notes: how a log signs its own checkpoints with ML-DSA-44, beside Ed25519.
 *
 * @param nowSeconds the clock: seconds since 1970, a whole number
 */
export function cosigningSigner(cosigner: Cosigner, nowSeconds: () => number): NoteSigner {
  const { name, id } = cosigner
  return {
    name,
    id,
    async sign(message) {
      const { signature } = await cosigner.cosign(decodeUtf8(message, 'checkpoint'), nowSeconds())
      return signature
    },
  }
}

function checkSeconds(timestampSeconds: number): void {
  const isTime =
    Number.isSafeInteger(timestampSeconds) && timestampSeconds > 0 && timestampSeconds <= MAX_SECONDS
  invariant(isTime, `a cosignature is dated in whole seconds since 1970, not ${timestampSeconds}`)
}

function malformed(message: string): SteleError {
  return new SteleError('malformed', `signing key: ${message}`)
}
