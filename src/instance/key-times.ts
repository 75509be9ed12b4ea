import { KEY_TYPE } from '../note/key-id.ts'
import { parseVerifierKey } from '../note/key.ts'

/** When a key of a log signs, in the timestamps of the log's heads. */
export interface KeyTimes {
  readonly verifierKey: string
  /** From this head on. A head's timestamp is later than those of all heads before it, even if the clock went back. */
  readonly since: { readonly timestampMs: number }
  /** The key signs no head from this one on. */
  readonly retired?: { readonly timestampMs: number } | undefined
}

/** The keys whose signature lines a head with this timestamp must carry. */
export function keysAt<T extends KeyTimes>(keys: readonly T[], timestampMs: number): T[] {
  return keys.filter(({ since, retired }) => {
    return since.timestampMs <= timestampMs && (retired === undefined || timestampMs < retired.timestampMs)
  })
}

/** The keys that sign the next head. */
export function activeKeys<T extends KeyTimes>(keys: readonly T[]): T[] {
  return keys.filter(({ retired }) => retired === undefined)
}

/** When the keys last changed, in milliseconds since 1970. */
export function changedMs(keys: readonly KeyTimes[]): number {
  return Math.max(...keys.map(({ since, retired }) => Math.max(since.timestampMs, retired?.timestampMs ?? 0)))
}

/** The first Ed25519 key that signs: the key for clients that verify a single line. */
export function firstVerifierKey(keys: readonly KeyTimes[]): string | undefined {
  return activeKeys(keys).find(({ verifierKey }) => isEd25519(verifierKey))?.verifierKey
}

/** True for a verifier key of type 0x01. */
export function isEd25519(verifierKey: string): boolean {
  return parseVerifierKey(verifierKey).type === KEY_TYPE.ed25519
}
