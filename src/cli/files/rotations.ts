import type { VerifierKey } from '../../note/note.ts'
import { followRotations } from '../../note/rotation.ts'
import { inFile } from '../../storage/files.ts'
import type { Io } from '../io.ts'
import { readInput } from './input.ts'

/** What `--rotations` means, wherever `--key` is taken. */
export const ROTATIONS_HELP = "what the log's old keys say of its new ones: a copy of its v1/keys/rotations"

/**
 * The keys that a log is believed by: the one given, and those that a file of statements leads to from it.
 *
 * @param file undefined: the one given alone
 * @throws SteleError `io_error`; as `followRotations`
 */
export async function trustedKeys(
  io: Io,
  log: { readonly origin: string; readonly verifiers: readonly VerifierKey[] },
  file: string | undefined,
): Promise<readonly VerifierKey[]> {
  if (file === undefined) return log.verifiers
  const rotations = await readInput(file, io)
  return inFile(file, () => followRotations(log, rotations))
}
