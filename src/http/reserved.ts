import { parseSuccessorEntry } from '../client/lineage.ts'
import { SteleError } from '../errors.ts'

/**
 * Refuses what would pass for the log's own last entry. Monitors raise the alarm when anything follows that one, and
 * whoever follows the log takes its successor's key from it: no submitter may write it.
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
