import { SteleError } from '../errors.ts'
import type { Cosigner } from '../note/cosigner.ts'
import { KEY_TYPE } from '../note/key-id.ts'
import type { VerifierKey } from '../note/note.ts'

/** A key that a witness cosigns with, and its public half. */
export interface WitnessKey extends Cosigner {
  readonly verifier: VerifierKey
}

/** The public halves. */
export function verifiersOf(keys: readonly WitnessKey[]): VerifierKey[] {
  return keys.map(({ verifier }) => verifier)
}

/** The keys that sign subtrees: those of type ML-DSA-44. */
export function subtreeKeys(keys: readonly WitnessKey[]): WitnessKey[] {
  return keys.filter(({ type }) => type === KEY_TYPE.mlDsa44Cosignature)
}

/**
 * Refuses a set of keys that no witness can have: none, or two that claim the same lines.
 *
 * @throws SteleError `usage`
 */
export function checkWitnessKeys(keys: readonly WitnessKey[]): void {
  if (keys.length === 0) throw new SteleError('usage', 'witness: expected a key to cosign with, got none')
  const clash = keys.find((key, i) =>
    keys.slice(0, i).some(({ name, id }) => name === key.name && id === key.id),
  )
  if (clash) throw new SteleError('usage', `witness: the key ${clash.name} of one ID is there twice`)
}
