import { parseSuccessorEntry } from '../client/lineage.ts'
import { SteleError } from '../errors.ts'

/**
 * Refuses what would pass for the log's own last entry. Readers who
 * follow the log take its successor's key from it, so no submitter may write it.
 *
 * @param origin of the log; entries about other logs are entries like any other
 * @throws SteleError `forbidden`
 */
export function checkNotReserved(entries: readonly Uint8Array[], origin: string): void {
  for (const [i, entry] of entries.entries()) {
    if (parseSuccessorEntry(entry)?.origin !== origin) continue
    throw new SteleError(
      'forbidden',
      `entry ${i}: only the log itself says where it goes on ("stele log rollover"); nothing was logged`,
    )
  }
}
