import { KEY_TYPE } from '../note/key-id.ts'
import { parseVerifierKey } from '../note/key.ts'

/** When a key of a log signs, in the time of the log's heads. */
export interface KeyTimes {
  readonly verifierKey: string
  /** From this head on; a head's time is later than that of every head before it, whatever the clock did. */
  readonly since: { readonly timestampMs: number }
  /** No longer from this head on. */
  readonly retired?: { readonly timestampMs: number } | undefined
}

/** The keys whose lines a head of this time must carry. */
export function keysAt<T extends KeyTimes>(keys: readonly T[], timestampMs: number): T[] {
  return keys.filter(({ since, retired }) => {
    return since.timestampMs <= timestampMs && (retired === undefined || timestampMs < retired.timestampMs)
  })
}

/** The keys that sign what is signed next. */
export function activeKeys<T extends KeyTimes>(keys: readonly T[]): T[] {
  return keys.filter(({ retired }) => retired === undefined)
}

/** When the keys changed last, in milliseconds since 1970. */
export function changedMs(keys: readonly KeyTimes[]): number {
  return Math.max(...keys.map(({ since, retired }) => Math.max(since.timestampMs, retired?.timestampMs ?? 0)))
}

/** The first key that signs, of those that are Ed25519: what everybody who verifies one line looks for. */
export function firstVerifierKey(keys: readonly KeyTimes[]): string | undefined {
  return activeKeys(keys).find(({ verifierKey }) => isEd25519(verifierKey))?.verifierKey
}

/** True for a verifier key of type 0x01. */
export function isEd25519(verifierKey: string): boolean {
  return parseVerifierKey(verifierKey).type === KEY_TYPE.ed25519
}
