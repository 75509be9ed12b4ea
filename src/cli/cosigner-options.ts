import type { Command } from 'commander'
import { hasCode, SteleError } from '../errors.ts'
import { checkKeyName, KEY_TYPE, type CosignerKeyType } from '../note/key-id.ts'
import { formatVerifierKey, parseVerifierKey } from '../note/key.ts'
import type { VerifierKey } from '../note/note.ts'
import type { CosignerInfo, CosignerKind } from '../witness/cosigner-folder.ts'
import type { WitnessedLog } from '../witness/logs.ts'
import type { Context } from './context.ts'
import { trustedKeys } from './files/rotations.ts'
import { asUsage } from './range.ts'

/** The folder that is meant: flag, environment, default. A log's data folder is another, with other variables. */
export function cosignerFolder({ command, io }: Context, kind: CosignerKind): string {
  const { data } = command.optsWithGlobals<{ data?: string }>()
  return data ?? (io.env[`STELE_${kind.toUpperCase()}_DATA`] || kind)
}

/** What `--only` can say. */
export const COSIGNER_TYPES = {
  ed25519: KEY_TYPE.ed25519Cosignature,
  'ml-dsa-44': KEY_TYPE.mlDsa44Cosignature,
} as const satisfies Record<string, CosignerKeyType>

/** The types of keys that are to be made: all, or the one of `--only`. */
export function cosignerTypes(only: keyof typeof COSIGNER_TYPES | undefined): CosignerKeyType[] {
  return only ? [COSIGNER_TYPES[only]] : Object.values(COSIGNER_TYPES)
}

/** @throws SteleError `usage` for what is not the name of a key */
export function checkCosignerName(name: string): void {
  try {
    checkKeyName(name, '--name')
  } catch (error) {
    if (!hasCode(error, 'malformed')) throw error
    throw new SteleError('usage', error.message, { cause: error })
  }
}

/** The public keys of a cosigner. */
export function ownKeys({ verifierKeys }: CosignerInfo): VerifierKey[] {
  return verifierKeys.map((vkey) => parseVerifierKey(vkey))
}

/** The one name that keys of a log have. @throws SteleError `usage` */
function nameOf(keys: readonly VerifierKey[]): string {
  const names = new Set(keys.map(({ name }) => name))
  if (names.size === 1) return keys[0]!.name
  throw new SteleError('usage', 'expected keys of one name, or --origin: which log are they of?')
}

/** What `add-log` is told of a log beside its keys. */
export interface ToldLog {
  readonly origin?: string
}

/** The options of `add-log`, at a witness and at a mirror. */
export function addLogOptions(command: Command): Command {
  return command.option('--origin <text>', 'first line of its checkpoints (default: the name of the key)')
}

/**
 * The log that `add-log` is told of: the keys given, and those that statements by them lead to.
 *
 * @throws SteleError `usage`; as `trustedKeys`
 */
export async function toldLog(
  { io, rotationsFile }: Context,
  { origin: named }: ToldLog,
  vkeys: readonly string[],
): Promise<WitnessedLog> {
  const verifiers = asUsage(() => vkeys.map((vkey) => parseVerifierKey(vkey.trim())))
  const origin = named ?? nameOf(verifiers)
  return { origin, keys: await trustedKeys(io, { origin, verifiers }, rotationsFile) }
}

/** A log as JSON results show it. */
export function logAsJson({ origin, keys }: WitnessedLog): { origin: string; verifierKeys: string[] } {
  return { origin, verifierKeys: keys.map(formatVerifierKey) }
}
