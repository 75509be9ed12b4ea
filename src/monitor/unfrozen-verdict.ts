import { toHex } from '../bytes/hex.ts'
import { parseSuccessorEntry } from '../client/lineage.ts'
import { leafHash } from '../merkle/hash.ts'
import { verifyInclusion } from '../merkle/verify.ts'
import { openCheckpoint, type LogIdentity, type OpenedCheckpoint } from '../note/checkpoint.ts'
import type { Ending, Evidence } from './evidence.ts'
import type { EvidenceJudged, EvidenceRefused } from './evidence-verdict.ts'

/**
 * Checks the evidence that a log grew after its end. This is never proven: heads are signed, but an end is not. A log
 * of another program may accept an entry that names a successor from any submitter, so the entry does not show who
 * wrote it.
 *
 * @throws SteleError as `openCheckpoint`, `verifyInclusion`
 */
export function judgeUnfrozen(
  { heads, ending }: Evidence,
  log: LogIdentity,
): EvidenceJudged | EvidenceRefused {
  const opened = heads.map(({ note }) => openCheckpoint(note, log))
  const sizes = opened.map(({ checkpoint }) => checkpoint.size)
  const signed = opened.map(signedSentence)
  const about = { kind: 'unfrozen', origin: log.origin, sizes } as const
  const last = Math.max(...sizes)
  if (!ending) {
    if (last <= sizes[0]!) return agree('no head in it is larger than the first one')
    const word = `that it had ended at size ${sizes[0]}: no signature says so, only the author of the file`
    return { verdict: 'needs_log', ...about, proven: signed, notProven: [word] }
  }
  const successor = parseSuccessorEntry(ending.entry)
  if (successor?.origin !== log.origin) return agree('its entry does not say that this log ends')
  checkIncluded(opened[0]!, ending)
  if (last <= ending.index + 1) return agree(`nothing follows entry ${ending.index}, which ends the log`)
  const stands =
    `entry ${ending.index} says that the log ends with it and continues as ${successor.successor.origin}; it is in the ` +
    `tree of size ${sizes[0]} that was signed`
  const goesOn = `the log signed size ${last}, ${last - ending.index - 1} entries after that one`
  const whose =
    `that the log itself wrote entry ${ending.index}: no signature by the log says that it ended. If the log ` +
    'accepts such entries from submitters, one of them may have written it'
  return { verdict: 'needs_log', ...about, proven: [...signed, stands, goesOn], notProven: [whose] }
}

function checkIncluded({ checkpoint }: OpenedCheckpoint, { index, entry, path }: Ending): void {
  const { size, root } = checkpoint
  verifyInclusion({ index, size, leaf: leafHash(entry), path, root })
}

function signedSentence({ checkpoint: { size, root }, verifiedBy }: OpenedCheckpoint): string {
  return `${verifiedBy.map(({ name }) => name).join(', ')} signed size ${size} with root hash ${toHex(root)}`
}

function agree(message: string): EvidenceRefused {
  return { verdict: 'no_contradiction', message: `evidence: ${message}` }
}
