import { createHash } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { LogFiles } from '../../client/http-files.ts'
import type { VerifiedCheckpoint } from '../../client/heads.ts'
import { SteleError } from '../../errors.ts'
import { formatEvidence } from '../../monitor/evidence.ts'
import { judgeHeads, type Contradiction } from '../../monitor/judge.ts'
import { type LogIdentity, openCheckpoint } from '../../note/checkpoint.ts'
import { formatVerifierKey } from '../../note/key.ts'
import { writeDurably } from '../files/durable.ts'

/** A head of the log from another source; its signature is verified. */
export interface SeenHead {
  /** The source: a file, a witness, a mirror. */
  readonly source: string
  readonly head: VerifiedCheckpoint
  /** The tiles of that head, if its source has them. */
  readonly files?: LogFiles
}

/** @throws SteleError as `openCheckpoint`, naming the source */
export function openSeen(source: string, note: string, log: LogIdentity, files?: LogFiles): SeenHead {
  try {
    const { checkpoint } = openCheckpoint(note, log)
    return { source, head: { ...checkpoint, note }, ...(files ? { files } : {}) }
  } catch (error) {
    if (!(error instanceof SteleError)) throw error
    throw new SteleError(error.code, `${source}: ${error.message}`, { cause: error })
  }
}

/** Compares the restored tree with known heads. */
export class Comparison {
  readonly #log: LogIdentity
  readonly #restored: SeenHead & { readonly files: LogFiles }
  readonly #evidenceFolder: string
  readonly compared: { readonly source: string; readonly size: number }[] = []
  readonly #larger: { readonly source: string; readonly size: number }[] = []

  /** @param evidenceFolder created when there is evidence to keep */
  constructor(log: LogIdentity, restored: SeenHead & { files: LogFiles }, evidenceFolder: string) {
    this.#log = log
    this.#restored = restored
    this.#evidenceFolder = evidenceFolder
  }

  /** @throws SteleError `fork` once the evidence is stored; as `VerifiedTiles` */
  async compare(seen: SeenHead): Promise<void> {
    const { head, files } = this.#restored
    const isLarger = seen.head.size > head.size
    // A larger head can only be compared with its own tiles. Without them it is refused as larger anyway.
    const tiles = isLarger ? seen.files : files
    const contradiction = tiles && (await judgeHeads(tiles, seen.head, head))
    if (contradiction) throw await this.#forked(seen, contradiction)
    this.note(seen.source, seen.head.size)
  }

  /** Records a size that was seen, without a contradiction. */
  note(source: string, size: number): void {
    this.compared.push({ source, size })
    if (size > this.#restored.head.size) this.#larger.push({ source, size })
  }

  /** @throws SteleError `rolled_back` if a larger head than the restored one is known */
  finish(): void {
    const largest = this.#larger.toSorted((a, b) => b.size - a.size)[0]
    if (!largest) return
    const { source, head } = this.#restored
    const catchUp = this.#larger.find(({ source: by }) => /^https?:/.test(by))?.source ?? '<url of a mirror>'
    throw new SteleError(
      'rolled_back',
      `${source}: it ends at size ${head.size}, but ${largest.source} has a signed head of size ${largest.size}: ` +
        `entries ${head.size} to ${largest.size - 1} are missing, and a log that continued without them would sign a ` +
        `second history. Nothing was restored. Take them from a copy that has them, with --catch-up ${catchUp}, or ` +
        `restore --from that copy`,
    )
  }

  async #forked(seen: SeenHead, { message, proof }: Contradiction): Promise<SteleError> {
    const shown = (head: SeenHead) => {
      const seenAt = new Date().toISOString()
      return { note: head.head.note, source: 'checkpoint' as const, url: head.source, seenAt }
    }
    const { origin, verifiers } = this.#log
    const keys = verifiers.map(formatVerifierKey)
    const heads = [shown(seen), shown(this.#restored)] as const
    const notes = heads.map(({ note }) => note).join('\n')
    const digest = createHash('sha256').update(notes).digest('hex').slice(0, 16)
    const path = join(this.#evidenceFolder, `fork-${digest}.json`)
    await mkdir(this.#evidenceFolder, { recursive: true })
    await writeDurably(path, formatEvidence({ kind: 'fork', origin, keys, heads, proof, message }))
    return new SteleError(
      'fork',
      `${this.#restored.source} and ${seen.source}: ${message}. Nothing was restored; the evidence is in ${path}: keep ` +
        `it, and find out how both came to be signed before the log signs again`,
    )
  }
}
