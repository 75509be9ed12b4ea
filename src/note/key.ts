import * as ed25519 from '#ed25519'
import * as p256 from '#p256'
import { parseBase64, toBase64 } from '../bytes/base64.ts'
import { concatBytes } from '../bytes/bytes.ts'
import { excerpt } from '../bytes/excerpt.ts'
import { encodeUtf8 } from '../bytes/text.ts'
import { SteleError } from '../errors.ts'
import { cosignatureLineVerifier, subtreeLineVerifier } from './cosignature.ts'
import { ED25519_KEY_BYTES, isUsablePublicKey } from '../crypto/ed25519-rule.ts'
import { checkKeyName, formatKeyId, isKeyType, KEY_TYPE, keyId } from './key-id.ts'
import type { KeyType } from './key-id.ts'
import { ML_DSA_44_KEY_BYTES } from '../crypto/mldsa44-sizes.ts'
import type { NoteSigner, VerifierKey } from './note.ts'
import { checkSkeyId, formatSkey, isSkey, parseSkey, SEED_BYTES, splitKey } from './skey.ts'
import { MAX_NAME_BYTES } from './subtree.ts'
import { treeHeadLineVerifier } from './tree-head.ts'

/**
 * Reads a verifier key, `name+hash+base64` (c2sp.org/signed-note). Its ID is computed again and must be the one given.
 *
 * Every assigned type verifies: Ed25519 (0x01), ECDSA on P-256 (0x02), Ed25519 cosignatures (0x04), RFC 6962 tree heads
 * signed with P-256 (0x05) and ML-DSA-44 cosignatures (0x06). What a line of theirs states differs; `isLogKeyType` and
 * `isCosignerKeyType` tell who may use which.
 *
 * @throws SteleError `malformed`, also for Ed25519 keys that are not canonical or of small order
 */
export function parseVerifierKey(vkey: string): VerifierKey {
  // Told apart before anything is quoted: what follows would show a part of the secret.
  if (isSkey(vkey)) throw malformed('verifier key: expected a public key, got a private one')
  const { name, hash, base64 } = splitKey(vkey, 'verifier key')
  const bytes = parseBase64(base64, 'verifier key')
  const [type] = bytes
  if (!isKeyType(type)) throw malformed(`verifier key: expected a known type, got ${type ?? 'nothing'}`)
  const key = verifierKey(name, type, bytes.subarray(1))
  if (hash !== formatKeyId(key.id)) {
    throw malformed(`verifier key: expected key ID ${formatKeyId(key.id)}, got ${excerpt(hash)}`)
  }
  return key
}

/** Inverse of {@link parseVerifierKey}. */
export function formatVerifierKey({ name, id, type, publicKey }: VerifierKey): string {
  return `${name}+${formatKeyId(id)}+${toBase64(concatBytes(Uint8Array.of(type), publicKey))}`
}

/**
 * Makes a verifier key out of its parts.
 *
 * @param publicKey 32 bytes for Ed25519, 1312 for ML-DSA-44, SubjectPublicKeyInfo DER for P-256
 * @throws SteleError `malformed` for a name or a key that {@link parseVerifierKey} would not read
 */
export function verifierKey(name: string, type: KeyType, publicKey: Uint8Array): VerifierKey {
  checkKeyName(name, 'verifier key')
  const kind = KINDS[type]
  kind.check(publicKey, name)
  return { name, type, publicKey, id: keyId(name, type, publicKey), verify: kind.verifier(name, publicKey) }
}

/** An Ed25519 key that signs notes (type 0x01). Printing or serialising it does not show the seed. */
export class SigningKey implements NoteSigner {
  readonly name: string
  readonly id: number
  readonly verifier: VerifierKey
  readonly #seed: Uint8Array
  readonly #sign: (message: Uint8Array) => Uint8Array

  /** Use {@link generateSigningKey} or {@link parseSigningKey}. */
  constructor(name: string, seed: Uint8Array) {
    if (seed.length !== SEED_BYTES) throw malformed('signing key: expected a seed of 32 bytes')
    this.verifier = verifierKey(name, KEY_TYPE.ed25519, ed25519.publicKey(seed))
    this.name = name
    this.id = this.verifier.id
    this.#seed = seed.slice()
    this.#sign = ed25519.signerOf(this.#seed)
  }

  /** 64 bytes; the same message always gives the same ones. */
  sign(message: Uint8Array): Uint8Array {
    return this.#sign(message)
  }

  /** The private key as text. It belongs in a file that its owner alone can read, and nowhere else. */
  formatSecret(): string {
    return formatSkey(this.verifier, this.#seed)
  }
}

/**
 * Makes an Ed25519 key for signing notes.
 *
 * @param seed 32 unpredictable bytes; random by default
 * @throws SteleError `malformed` for an invalid key name, or for a seed of another length
 */
export function generateSigningKey(name: string, seed?: Uint8Array): SigningKey {
  return new SigningKey(name, seed ?? crypto.getRandomValues(new Uint8Array(SEED_BYTES)))
}

/**
 * Reads a private key in the form of Go's note package, `PRIVATE+KEY+name+hash+base64`, with a 32-byte Ed25519 seed. Its
 * ID is that of the public key, is computed again and must be the one given.
 *
 * @throws SteleError `malformed`; the message never repeats any of the secret
 */
export function parseSigningKey(skey: string): SigningKey {
  const parts = parseSkey(skey, [KEY_TYPE.ed25519])
  const key = generateSigningKey(parts.name, parts.seed)
  checkSkeyId(parts, key.verifier)
  return key
}

/** Inverse of {@link parseSigningKey}: a secret. */
export function formatSigningKey(key: SigningKey): string {
  return key.formatSecret()
}

interface Kind {
  /** Throws for a public key that is none of this kind, or a name that it cannot sign under. */
  check(publicKey: Uint8Array, name: string): void
  verifier(name: string, publicKey: Uint8Array): VerifierKey['verify']
}

const KINDS: Readonly<Record<KeyType, Kind>> = {
  [KEY_TYPE.ed25519]: {
    check: checkEd25519,
    verifier: (_, publicKey) => overText(ed25519.verifierOf(publicKey)),
  },
  [KEY_TYPE.ecdsa]: {
    check: checkP256,
    verifier: (_, publicKey) => overText(p256.verifierOf(publicKey)),
  },
  [KEY_TYPE.treeHead]: { check: checkP256, verifier: treeHeadLineVerifier },
  [KEY_TYPE.ed25519Cosignature]: {
    check: checkEd25519,
    verifier: (_, publicKey) => cosignatureLineVerifier(publicKey),
  },
  [KEY_TYPE.mlDsa44Cosignature]: { check: checkMlDsa44, verifier: subtreeLineVerifier },
}

function overText(verify: (message: Uint8Array, signature: Uint8Array) => boolean): VerifierKey['verify'] {
  return (text, signature) => verify(encodeUtf8(text), signature)
}

function checkMlDsa44(publicKey: Uint8Array, name: string): void {
  checkLength(publicKey, ML_DSA_44_KEY_BYTES)
  const nameBytes = encodeUtf8(name).length
  // A longer one has no place in the signed message, so that the key could never verify anything.
  if (nameBytes > MAX_NAME_BYTES) {
    throw malformed(`verifier key: expected a name of at most ${MAX_NAME_BYTES} bytes, got ${nameBytes}`)
  }
}

function checkEd25519(publicKey: Uint8Array): void {
  checkLength(publicKey, ED25519_KEY_BYTES)
  if (!isUsablePublicKey(publicKey)) {
    throw malformed('verifier key: expected a canonical Ed25519 point that is not of small order')
  }
}

function checkP256(publicKey: Uint8Array): void {
  if (!p256.isUsableSpki(publicKey)) {
    throw malformed('verifier key: expected a P-256 key as SubjectPublicKeyInfo DER')
  }
}

function checkLength(publicKey: Uint8Array, expected: number): void {
  if (publicKey.length !== expected) {
    throw malformed(`verifier key: expected ${expected} bytes, got ${publicKey.length}`)
  }
}

function malformed(message: string): SteleError {
  return new SteleError('malformed', message)
}
