import type { LogFiles } from '../../client/index.ts'
import { hasCode } from '../../errors.ts'
import { judgeHeads } from '../../monitor/judge.ts'
import type { Checkpoint } from '../../note/checkpoint.ts'
import { openTrusted, type Trust } from '../../policy/evaluate.ts'
import type { Findings } from '../fsck/report.ts'
import { formatCount } from '../output/units.ts'

/** A checkpoint kept from earlier, verified. */
export interface PinnedHead extends Checkpoint {
  readonly note: string
}

/** @throws SteleError as `openTrusted` */
export function openPinned(note: string, trust: Trust): PinnedHead {
  return { ...openTrusted(note, trust).checkpoint, note }
}

/** Compares the audited head with the kept one, which the log must extend. */
export async function checkPinned(
  findings: Findings,
  files: LogFiles,
  head: Checkpoint,
  pinned: PinnedHead,
): Promise<void> {
  const size = formatCount(pinned.size)
  if (head.size < pinned.size) {
    const message = `the log's head is of size ${formatCount(head.size)}, but the kept head is of size ${size}`
    findings.findings.push({ kind: 'rolled_back', message })
    return
  }
  try {
    // The comparison does not use the note of the audited head.
    const contradiction = await judgeHeads(files, pinned, { ...head, note: '' })
    if (contradiction) findings.findings.push({ kind: 'fork', message: contradiction.message })
    else findings.checked.push(`the log extends the kept head of size ${size}`)
  } catch (error) {
    if (!hasCode(error, 'bad_proof', 'not_found', 'unexpected_answer')) throw error
    findings.findings.push({ kind: 'tile', message: error.message })
    findings.notChecked.push(`whether the log extends the kept head of size ${size}`)
  }
}
