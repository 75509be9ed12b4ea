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

/** Reads everything again at each look, so that one look tells; a real one does so in turns. */
const RECHECK_ALL = 1000

/**
 * One round of a monitor, as `stele monitor --once` makes it, going on from the state of the rounds before.
 *
 * @returns its gravest finding
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

/** What somebody makes of the monitor's evidence who has the log's public keys and is offline: the best of its files. */
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

/** What decides the verdict. */
function sentenceOf(result: EvidenceJudged | EvidenceRefused): string {
  if (!('proven' in result)) return result.message
  const [first] = result.notProven
  return result.verdict === 'proven' || first === undefined ? result.proven.at(-1)! : `not proven: ${first}`
}

/** The public keys of the log: for checkpoints, and for the tree heads of RFC 6962. */
export function logKeys({ parts: { info } }: Stage): VerifierKey[] {
  const spki = parseBase64(info.treeHeadKey, 'tree head key')
  return [parseVerifierKey(info.verifierKey), verifierKey(info.origin, KEY_TYPE.treeHead, spki)]
}

/** Where the monitor has put its evidence. */
export async function evidenceFiles(stage: Stage): Promise<string[]> {
  const folder = join(stage.path('monitor'), 'evidence')
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  return names.map((name) => join(folder, name))
}
