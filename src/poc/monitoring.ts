import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { FINDING_KINDS, type Finding } from '../monitor/finding.ts'
import { verifyEvidence, type EvidenceJudged, type EvidenceRefused } from '../monitor/evidence-verdict.ts'
import { LogMonitor } from '../monitor/log-monitor.ts'
import { Outbox } from '../monitor/delivery.ts'
import { parseBase64 } from '../bytes/base64.ts'
import { KEY_TYPE } from '../note/key-id.ts'
import { parseVerifierKey, verifierKey } from '../note/key.ts'
import type { VerifierKey } from '../note/note.ts'
import { monitorConfig } from '../cli/monitor/config.ts'
import { FolderStore } from '../cli/monitor/folder-store.ts'
import type { Notice } from './attack.ts'
import type { Stage } from './stage.ts'

/** Reads every bundle again in each round, so that one round is enough; a real monitor takes turns. */
const RECHECK_ALL = 1000

/**
 * Runs one round of a monitor, as `stele monitor --once` does, continuing from the state of earlier rounds.
 *
 * @returns the most serious finding
 */
export async function monitorOnce(stage: Stage): Promise<Notice | undefined> {
  const { clock, options } = stage.parts
  const folder = stage.path('monitor')
  if (options.monitorForgets) await rm(folder, { recursive: true, force: true })
  const outbox = new Outbox({ webhooks: [], clock, print: async () => {} })
  const store = new FolderStore(folder)
  const transport = { clock }
  const monitor = await LogMonitor.open(monitored(stage), {
    store,
    outbox,
    transport,
    deadlineMs: stage.patienceMs,
  })
  const findings = await monitor.round()
  return gravest(findings)
}

function monitored({ parts }: Stage) {
  const { front, info, folder } = parts
  const input = {
    logs: [
      {
        url: front.url,
        key: info.verifierKey,
        policy: join(folder, 'policy'),
        'tree-head-key': info.treeHeadKey,
      },
    ],
    'recheck-bundles': RECHECK_ALL,
  }
  return monitorConfig(input, { where: 'monitor', base: '.', once: true }).logs[0]!
}

function gravest(findings: readonly Finding[]): Notice | undefined {
  const kind = FINDING_KINDS.find((each) => findings.some((finding) => finding.kind === each))
  const finding = findings.find((each) => each.kind === kind)
  return finding && { code: finding.kind, message: finding.message }
}

/** Checks the monitor's evidence offline, with the log's public keys; returns the best result of all files. */
export async function judgeEvidence(stage: Stage): Promise<Notice | undefined> {
  const { origin } = stage.parts.info
  const verifierKeys = logKeys(stage)
  const verdicts: Notice[] = []
  for (const path of await evidenceFiles(stage)) {
    const result = verifyEvidence({ evidence: await readFile(path), origin, verifierKeys })
    verdicts.push({ code: result.verdict, message: sentenceOf(result) })
  }
  return verdicts.find(({ code }) => code === 'proven') ?? verdicts[0]
}

/** The sentence that decides the result. */
function sentenceOf(result: EvidenceJudged | EvidenceRefused): string {
  if (!('proven' in result)) return result.message
  const [first] = result.notProven
  return result.verdict === 'proven' || first === undefined ? result.proven.at(-1)! : `not proven: ${first}`
}

/** The log's public keys: for checkpoints, and for RFC 6962 tree heads. */
export function logKeys({ parts: { info } }: Stage): VerifierKey[] {
  const spki = parseBase64(info.treeHeadKey, 'tree head key')
  return [parseVerifierKey(info.verifierKey), verifierKey(info.origin, KEY_TYPE.treeHead, spki)]
}

/** The folder of the monitor's evidence. */
export async function evidenceFiles(stage: Stage): Promise<string[]> {
  const folder = join(stage.path('monitor'), 'evidence')
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  return names.map((name) => join(folder, name))
}
