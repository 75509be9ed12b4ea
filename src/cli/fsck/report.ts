import { toHex } from '../../bytes/hex.ts'
import type { AuditFinding, AuditReport } from '../../client/index.ts'
import type { Terminal } from '../output/terminal.ts'
import { formatCount } from '../output/units.ts'

/** Damage: a message, and for some kinds details for programs. */
export interface Finding {
  /** The auditor's kinds, or `database`, `head`, `head_file`, `second_opinion`. */
  readonly kind: string
  readonly message: string
  readonly [detail: string]: unknown
}

/** The result of `fsck` for one log. */
export interface FsckReport {
  /** The log's name in a data folder, its URL, or its folder. */
  readonly target: string
  readonly verdict: 'intact' | 'damaged'
  readonly treeSize: number | undefined
  readonly rootHash: string | undefined
  /** The first damage of each kind. */
  readonly findings: readonly Finding[]
  /** Problems that lose no entry. */
  readonly warnings: readonly string[]
  readonly checked: readonly string[]
  readonly notChecked: readonly string[]
}

/** Collects the results for one log. */
export class Findings {
  readonly #target: string
  readonly findings: Finding[] = []
  readonly warnings: string[] = []
  readonly checked: string[] = []
  readonly notChecked: string[] = []
  treeSize: number | undefined
  rootHash: string | undefined

  constructor(target: string) {
    this.#target = target
  }

  /** Adds the results of an audit. */
  addAudit({ finding, checked, notChecked, checkpoint }: AuditReport): void {
    this.treeSize = checkpoint.size
    this.rootHash = toHex(checkpoint.root)
    const { entries, tiles, secondOpinions, root } = checked
    this.checked.push(`${formatCount(entries.end - entries.begin)} entries, ${formatCount(tiles)} tiles`)
    if (secondOpinions > 0)
      this.checked.push(`${formatCount(secondOpinions)} full tiles by a second implementation`)
    if (root) this.checked.push(`the signed root hash at size ${formatCount(checkpoint.size)}`)
    this.notChecked.push(...notChecked)
    if (finding) this.findings.push(asFinding(finding))
  }

  report(): FsckReport {
    const { treeSize, rootHash, findings, warnings, checked, notChecked } = this
    const verdict = findings.length > 0 ? 'damaged' : 'intact'
    return { target: this.#target, verdict, treeSize, rootHash, findings, warnings, checked, notChecked }
  }
}

/** Prints a report. */
export async function printReport(terminal: Terminal, report: FsckReport): Promise<void> {
  if (terminal.json) return terminal.jsonLine(report)
  const { paintData } = terminal
  const verdict = report.verdict === 'intact' ? paintData.green('intact') : paintData.red('DAMAGED')
  await terminal.line(`${report.target}: ${verdict}`)
  for (const { message } of report.findings)
    await terminal.line(`  ${paintData.red('damage')}       ${message}`)
  for (const warning of report.warnings)
    await terminal.line(`  ${paintData.yellow('warning')}      ${warning}`)
  for (const text of report.checked) await terminal.line(`  checked      ${text}`)
  for (const text of report.notChecked) await terminal.line(`  not checked  ${text}`)
}

/** Hashes as hex. */
function asFinding(finding: AuditFinding): Finding {
  const entries = Object.entries(finding).map(([name, value]) => {
    return [name, value instanceof Uint8Array ? toHex(value) : value] as const
  })
  return { kind: finding.kind, message: finding.message, ...Object.fromEntries(entries) }
}
