import { concatBytes } from '../bytes/bytes.ts'
import { excerpt } from '../bytes/excerpt.ts'
import { getUint32 } from '../bytes/integer.ts'
import { encodeUtf8 } from '../bytes/text.ts'
import { SteleError } from '../errors.ts'
import { sha256 } from '../merkle/hash.ts'

/** The assigned type bytes of note keys (c2sp.org/signed-note). */
export const KEY_TYPE = {
  ed25519: 0x01,
  ecdsa: 0x02,
  ed25519Cosignature: 0x04,
  treeHead: 0x05,
  mlDsa44Cosignature: 0x06,
} as const

/** One of the assigned type bytes. */
export type KeyType = (typeof KEY_TYPE)[keyof typeof KEY_TYPE]

/** True for a type byte that this program knows. */
export function isKeyType(byte: number | undefined): byte is KeyType {
  return Object.values<number | undefined>(KEY_TYPE).includes(byte)
}

/** The types of a cosigner's keys (c2sp.org/tlog-cosignature). */
export type CosignerKeyType = typeof KEY_TYPE.ed25519Cosignature | typeof KEY_TYPE.mlDsa44Cosignature

/** True for a type that witnesses and mirrors cosign with. */
export function isCosignerKeyType(type: KeyType): type is CosignerKeyType {
  return type === KEY_TYPE.ed25519Cosignature || type === KEY_TYPE.mlDsa44Cosignature
}

/**
 * True for a key type that a log may sign its checkpoints with: all but 0x04, which is always a cosigner's. ML-DSA-44
 * (0x06) is for both (c2sp.org/tlog-checkpoint, c2sp.org/tlog-cosignature).
 */
export function isLogKeyType(type: KeyType): boolean {
  return type !== KEY_TYPE.ed25519Cosignature
}

/**
 * Key ID: a hint that tells keys of one name apart. It is short and proves nothing.
 *
 * @param publicKey what follows the type byte in a verifier key: raw for Ed25519 and ML-DSA, SPKI DER for P-256
 * @returns 0 to 2^32 - 1
 */
export function keyId(name: string, type: KeyType, publicKey: Uint8Array): number {
  return getUint32(sha256(idInput(name, type, publicKey)), 0, 'key ID')
}

function idInput(name: string, type: KeyType, publicKey: Uint8Array): Uint8Array {
  // The oldest type, which predates the rule for the others: its ID does not even cover the name.
  if (type === KEY_TYPE.ecdsa) return publicKey
  // c2sp.org/static-ct-api: the LogID stands for the key.
  const key = type === KEY_TYPE.treeHead ? sha256(publicKey) : publicKey
  return concatBytes(encodeUtf8(`${name}\n`), Uint8Array.of(type), key)
}

/** A key ID as verifier keys show it: 8 lower-case hex digits. */
export function formatKeyId(id: number): string {
  return id.toString(16).padStart(8, '0')
}

/**
 * Refuses what cannot be a key name: the empty string, and text with white space (Unicode's, so U+0085 counts and
 * U+FEFF does not), a plus sign, a control character below U+0020, or half of a surrogate pair.
 *
 * @param where begins the error message
 * @throws SteleError `malformed`
 */
export function checkKeyName(name: string, where: string): void {
  const bytes = encodeUtf8(name)
  if (name === '' || /[\p{White_Space}+]/u.test(name) || bytes.some((byte) => byte < 0x20)) {
    throw new SteleError(
      'malformed',
      `${where}: expected a key name without spaces or "+", got ${excerpt(name)}`,
    )
  }
}
