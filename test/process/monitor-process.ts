import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Finding } from '../../src/monitor/finding.ts'
import { parseState } from '../../src/monitor/state.ts'
import { SteleProcess } from '../support/process.ts'

/** `stele monitor` in a process of its own. */
export class MonitorProcess extends SteleProcess {
  /** Resolves once it has its state folder and follows; rejects with what it said if it ends before that. */
  readonly watching = this.said(/^Watching /)
  /** What it printed so far: whole lines only, for the last one may be cut short by a kill. */
  readonly findings: readonly Finding[]

  constructor(args: readonly string[]) {
    const findings: Finding[] = []
    super(['monitor', ...args], { onLine: (line) => keep(line, findings) })
    this.findings = findings
  }
}

function keep(line: string, findings: Finding[]): void {
  try {
    findings.push(JSON.parse(line) as Finding)
  } catch {
    // A line that the kill cut short: nobody downstream could read it either.
  }
}

/** The first entry that was not dealt with, as the disk has it; 0 where nothing was saved yet. */
export function savedPosition(folder: string, origin: string): number {
  const file = filesOf(folder).find((name) => name.endsWith('.json'))
  return file === undefined ? 0 : parseState(readFileSync(join(folder, file), 'utf8'), origin).nextIndex
}

function filesOf(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
