import { generateCosignerKey } from '../../src/note/cosigner.ts'
import type { CosignerKey } from '../../src/note/cosigner.ts'
import { KEY_TYPE } from '../../src/note/key-id.ts'
import { formatVerifierKey, generateSigningKey } from '../../src/note/key.ts'
import type { SigningKey } from '../../src/note/key.ts'
import { formatNote } from '../../src/note/note.ts'
import type { NoteSignature, VerifierKey } from '../../src/note/note.ts'
import type { Policy } from '../../src/policy/policy.ts'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import { ROOT_7 } from '../note/example.ts'

export const NOW = 1_750_000_000
export const ORIGIN = 'log.example/demo'
export const TEXT = `${ORIGIN}\n7\n${ROOT_7}\n`
export const ED25519 = KEY_TYPE.ed25519Cosignature
export const ML_DSA = KEY_TYPE.mlDsa44Cosignature

const seedOf = (kind: number, n: number): Uint8Array =>
  Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? kind : i === 1 ? n % 256 : 7))

/** The same key for the same number. */
export function logKey(n = 0, name = ORIGIN): SigningKey {
  return generateSigningKey(name, seedOf(1, n))
}

/** The same key for the same number; its name is `w<n>.example`. */
export function witness(
  n: number,
  type: typeof ED25519 | typeof ML_DSA = ED25519,
  name = `w${n}.example`,
): CosignerKey {
  return generateCosignerKey(name, type, witnessSeed(n, type))
}

/** The seed of `witness(n, type)`. */
export function witnessSeed(n: number, type: number = ED25519): Uint8Array {
  return seedOf(type, n)
}

/** The verifier key of a log or a cosigner, as policies have it. */
export function vkey({ verifier }: { readonly verifier: VerifierKey }): string {
  return formatVerifierKey(verifier)
}

/** A log's line on a text. */
export function logLine(key: SigningKey, text = TEXT): NoteSignature {
  return { name: key.name, id: key.id, signature: key.sign(encodeUtf8(text)) }
}

/** A note with these lines. */
export function noteOf(signatures: readonly NoteSignature[], text = TEXT): string {
  return formatNote({ text, signatures })
}

/** A policy without functions, so that two can be compared. */
export function plain({ logs, witnesses, groups, quorum }: Policy) {
  const listed = <T extends { readonly key: VerifierKey }>({ key, ...rest }: T) => ({
    ...rest,
    vkey: formatVerifierKey(key),
  })
  return { logs: logs.map(listed), witnesses: witnesses.map(listed), groups, quorum }
}
