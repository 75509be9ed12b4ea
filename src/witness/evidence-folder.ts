import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileError, replaceFile } from '../storage/files.ts'
import { evidenceName, evidencePrefix, type Evidence, type EvidenceKeeper, type Kept } from './evidence.ts'
import { formatWitnessEvidence } from './evidence-file.ts'

const SUFFIX = '.json'

/**
 * Files of one kind about one log. Two signed checkpoints are enough; the bound is for `inconsistent`, of which anybody
 * who has a log's checkpoints can make one for each. A file is some 10 kB, so a log has 3 MB at most.
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

/** Evidence as files of one folder. Owner of the set of names that are there or being written. */
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
