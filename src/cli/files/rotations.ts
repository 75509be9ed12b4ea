import type { VerifierKey } from '../../note/note.ts'
import { followRotations } from '../../note/rotation.ts'
import { inFile } from '../../storage/files.ts'
import type { Io } from '../io.ts'
import { readInput } from './input.ts'

/** The description of `--rotations`, for all commands that have `--key`. */
export const ROTATIONS_HELP =
  "statements in which the log's old keys announce new ones: a copy of its v1/keys/rotations"

/**
 * The trusted keys of a log: the given one, and those that the statements in a file lead to from it.
 *
 * @param file undefined for the given key alone
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
