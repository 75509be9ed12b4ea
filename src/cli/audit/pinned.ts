import type { LogFiles } from '../../client/index.ts'
import { hasCode } from '../../errors.ts'
import { judgeHeads } from '../../monitor/judge.ts'
import type { Checkpoint } from '../../note/checkpoint.ts'
import { openTrusted, type Trust } from '../../policy/evaluate.ts'
import type { Findings } from '../fsck/report.ts'
import { formatCount } from '../output/units.ts'

/** A head that somebody kept, opened. */
export interface PinnedHead extends Checkpoint {
  readonly note: string
}

/** @throws SteleError as `openTrusted` */
export function openPinned(note: string, trust: Trust): PinnedHead {
  return { ...openTrusted(note, trust).checkpoint, note }
}

/** Holds the audited head against one that was kept: the log must extend it. */
export async function checkPinned(
  findings: Findings,
  files: LogFiles,
  head: Checkpoint,
  pinned: PinnedHead,
): Promise<void> {
  const size = formatCount(pinned.size)
  if (head.size < pinned.size) {
    const message = `the log's head is of size ${formatCount(head.size)}, but one of size ${size} was kept`
    findings.findings.push({ kind: 'rolled_back', message })
    return
  }
  try {
    // The note of the audited head is not needed to compare the two.
    const contradiction = await judgeHeads(files, pinned, { ...head, note: '' })
    if (contradiction) findings.findings.push({ kind: 'fork', message: contradiction.message })
    else findings.checked.push(`the log extends the kept head of size ${size}`)
  } catch (error) {
    if (!hasCode(error, 'bad_proof', 'not_found', 'unexpected_answer')) throw error
    findings.findings.push({ kind: 'tile', message: error.message })
    findings.notChecked.push(`whether the log extends the kept head of size ${size}`)
  }
}
