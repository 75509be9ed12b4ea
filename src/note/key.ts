import * as ed25519 from '#ed25519'
import * as p256 from '#p256'
import { parseBase64, toBase64 } from '../bytes/base64.ts'
import { concatBytes } from '../bytes/bytes.ts'
import { excerpt } from '../bytes/excerpt.ts'
import { encodeUtf8 } from '../bytes/text.ts'
import { SteleError } from '../errors.ts'
import { ED25519_KEY_BYTES, isUsablePublicKey } from './ed25519-rule.ts'
import { checkKeyName, formatKeyId, isKeyType, KEY_TYPE, keyId } from './key-id.ts'
import type { KeyType } from './key-id.ts'
import type { NoteSigner, VerifierKey } from './note.ts'
import { treeHeadLineVerifier } from './tree-head.ts'

const SKEY_PREFIX = 'PRIVATE+KEY+'
const ML_DSA_44_KEY_BYTES = 1312 // FIPS 204, table 2

/**
 * Reads a verifier key, `name+hash+base64` (c2sp.org/signed-note). Its ID is computed again and must be the one given.
 *
 * Ed25519 (0x01), ECDSA on P-256 (0x02) and RFC 6962 tree heads signed with P-256 (0x05) verify. Cosigner keys (0x04,
 * 0x06) are read, so that they can be named and compared; asked to verify, they throw `untrusted_signer`.
 *
 * @throws SteleError `malformed`, also for Ed25519 keys that are not canonical or of small order
 */
export function parseVerifierKey(vkey: string): VerifierKey {
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
  kind.check(publicKey)
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
    if (seed.length !== ED25519_KEY_BYTES) throw malformed('signing key: expected a seed of 32 bytes')
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
    const secret = toBase64(concatBytes(Uint8Array.of(KEY_TYPE.ed25519), this.#seed))
    return `${SKEY_PREFIX}${this.name}+${formatKeyId(this.id)}+${secret}`
  }
}

/**
 * Makes an Ed25519 key for signing notes.
 *
 * @param seed 32 bytes that nobody can guess; random by default
 * @throws SteleError `malformed` for what is not a key name, or a seed of another length
 */
export function generateSigningKey(name: string, seed?: Uint8Array): SigningKey {
  return new SigningKey(name, seed ?? crypto.getRandomValues(new Uint8Array(ED25519_KEY_BYTES)))
}

/**
 * Reads a private key in the form of Go's note package, `PRIVATE+KEY+name+hash+base64`, with a 32-byte Ed25519 seed. Its
 * ID is that of the public key, is computed again and must be the one given.
 *
 * @throws SteleError `malformed`; the message never repeats any of the secret
 */
export function parseSigningKey(skey: string): SigningKey {
  if (!skey.startsWith(SKEY_PREFIX))
    throw malformed(`signing key: expected "${SKEY_PREFIX}" at the beginning`)
  const { name, hash, base64 } = splitKey(skey.slice(SKEY_PREFIX.length), 'signing key')
  const key = generateSigningKey(name, parseSeed(base64))
  if (hash !== formatKeyId(key.id))
    throw malformed('signing key: the key ID is not the one of this name and key')
  return key
}

/** Inverse of {@link parseSigningKey}: a secret. */
export function formatSigningKey(key: SigningKey): string {
  return key.formatSecret()
}

function splitKey(text: string, what: string): { name: string; hash: string; base64: string } {
  // At the first two only: base64 has plus signs of its own.
  const nameEnd = text.indexOf('+')
  const hashEnd = text.indexOf('+', nameEnd + 1)
  if (nameEnd < 0 || hashEnd < 0) throw malformed(`${what}: expected <name>+<hash>+<base64>`)
  return {
    name: text.slice(0, nameEnd),
    hash: text.slice(nameEnd + 1, hashEnd),
    base64: text.slice(hashEnd + 1),
  }
}

function parseSeed(base64: string): Uint8Array {
  let bytes: Uint8Array | undefined
  try {
    bytes = parseBase64(base64, 'signing key')
  } catch {
    // Not handed on, as cause or otherwise: that message quotes its input, which is the secret.
  }
  if (bytes?.length !== 1 + ED25519_KEY_BYTES || bytes[0] !== KEY_TYPE.ed25519) {
    throw malformed('signing key: expected the type byte 0x01 and a 32-byte Ed25519 seed in base64')
  }
  return bytes.subarray(1)
}

interface Kind {
  /** Throws for a public key that is none of this kind. */
  check(publicKey: Uint8Array): void
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
  [KEY_TYPE.ed25519Cosignature]: { check: checkEd25519, verifier: () => refuseCosignature },
  [KEY_TYPE.mlDsa44Cosignature]: {
    check: (publicKey) => checkLength(publicKey, ML_DSA_44_KEY_BYTES),
    verifier: () => refuseCosignature,
  },
}

function overText(verify: (message: Uint8Array, signature: Uint8Array) => boolean): VerifierKey['verify'] {
  return (text, signature) => verify(encodeUtf8(text), signature)
}

// Neither true nor false would be right: nothing has been checked.
function refuseCosignature(): never {
  throw new SteleError('untrusted_signer', 'verifier key: cosignatures cannot be verified')
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
