import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { invariant, SteleError } from '../errors.ts'
import { type EvidenceHead, formatEvidence } from '../monitor/evidence.ts'
import { formatVerifierKey } from '../note/key.ts'
import { fileError, replaceFile } from '../storage/files.ts'
import {
  type Evidence,
  type EvidenceEvents,
  type EvidenceKeeper,
  evidenceName,
  evidencePrefix,
  type Kept,
} from './evidence.ts'
import type { Contradiction } from './judge.ts'
import type { CosignerMetrics } from './metrics.ts'

const SUFFIX = '.json'

/**
 * Files of one kind about one log. Two signed checkpoints are enough; the limit is for `inconsistent`: anyone who has a
 * log's checkpoints can produce one for each. A file has some 10 kB, so a log has 3 MB at most.
 */
const MOST_OF_A_KIND = 100

/** The names of the evidence in a folder, without their suffix. @throws SteleError `io_error` */
export async function listEvidence(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw fileError(folder, error)
  })
  return names.filter((name) => name.endsWith(SUFFIX)).map((name) => name.slice(0, -SUFFIX.length))
}

/** Evidence as files in one folder. Owner of the set of names that exist or are being written. */
export class EvidenceFolder implements EvidenceKeeper {
  readonly #folder: string
  readonly #names: Set<string>

  private constructor(folder: string, names: readonly string[]) {
    this.#folder = folder
    this.#names = new Set(names)
  }

  /** @throws SteleError `io_error` */
  static async open(folder: string): Promise<EvidenceFolder> {
    await mkdir(folder, { recursive: true }).catch((error: unknown) => {
      throw fileError(folder, error)
    })
    return new EvidenceFolder(folder, await listEvidence(folder))
  }

  async keep(evidence: Evidence): Promise<Kept> {
    const name = evidenceName(evidence)
    if (this.#names.has(name)) return 'known'
    if (this.#count(evidencePrefix(evidence.log.origin, evidence.kind)) >= MOST_OF_A_KIND) return 'full'
    // Claimed before it is written, with no await in between: the same may arrive meanwhile.
    this.#names.add(name)
    try {
      await replaceFile(this.pathOf(evidence), formatWitnessEvidence(evidence))
      return 'kept'
    } catch (error) {
      this.#names.delete(name)
      throw error
    }
  }

  /** Where a piece of evidence is. */
  pathOf(evidence: Evidence): string {
    return join(this.#folder, `${evidenceName(evidence)}${SUFFIX}`)
  }

  #count(prefix: string): number {
    return [...this.#names].filter((name) => name.startsWith(prefix)).length
  }
}

/** Kinds in the files. They are the same as those of monitors, so that one command verifies both. */
const KINDS = {
  fork: 'fork',
  inconsistent: 'unproven',
  empty_root: 'empty_root',
  went_back: 'rollback',
} as const satisfies Record<Contradiction, string>

/** Evidence of a witness or a mirror as a file to hand on (`proto-docs/monitor.md`), which `stele verify --evidence` judges. */
export function formatWitnessEvidence(evidence: Evidence): string {
  const { kind, log, held, suspect, proof, heldAtMs, seenAtMs, heldUrl, suspectUrl } = evidence
  const about = { origin: log.origin, message: messageOf(evidence), keys: log.keys.map(formatVerifierKey) }
  const second = headOf(suspect, seenAtMs, suspectUrl)
  if (kind === 'empty_root') {
    return formatEvidence({ ...about, kind: 'empty_root', heads: [second], proof: undefined })
  }
  invariant(
    held !== undefined && heldAtMs !== undefined,
    `evidence of kind ${kind} speaks against a held head`,
  )
  return formatEvidence({
    ...about,
    kind: KINDS[kind],
    heads: [headOf(held, heldAtMs, heldUrl), second],
    proof,
  })
}

function headOf(note: string, seenAtMs: number, url: string | undefined): EvidenceHead {
  const seenAt = new Date(seenAtMs).toISOString()
  if (url === undefined) return { note, source: 'add-checkpoint', url: '', seenAt }
  return { note, source: 'checkpoint', url, seenAt }
}

function messageOf({ kind, proof, request }: Evidence): string {
  if (kind === 'empty_root') return 'a tree of size 0 was signed with another root hash than it can have'
  if (kind === 'inconsistent') {
    return (
      `a larger tree came with a proof from size ${request.oldSize} that does not hold. Any caller can send a wrong proof: ` +
      'ask the log for the right one'
    )
  }
  if (kind === 'went_back') return 'the log served a smaller tree, again and again, after a larger one'
  if (!proof) return 'two root hashes were signed for one size'
  return `a proof of the larger tree shows another root hash at size ${request.oldSize} than was signed`
}

/** Tells the operator of a witness or a mirror what a log did: its metrics, and its own log. */
export function evidenceReports(
  evidence: EvidenceFolder,
  metrics: Pick<CosignerMetrics, 'contradiction'>,
  logger: Logger,
): EvidenceEvents {
  return {
    contradiction(found, kept) {
      const { kind, log } = found
      const failed = kept instanceof SteleError
      metrics.contradiction(log.origin, kind, failed ? 'failed' : kept)
      const file = evidence.pathOf(found)
      const fields = { origin: log.origin, kind, file, ...(failed ? { err: kept } : { evidence: kept }) }
      // Any caller can send a proof that does not hold, but not two contradicting signatures.
      if (kind === 'inconsistent' && !failed)
        logger.warn(fields, 'a signed checkpoint does not go with what is held')
      else logger.error(fields, 'a log contradicts itself')
    },
  }
}
