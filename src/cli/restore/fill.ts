import { auditLog } from '../../client/audit.ts'
import type { AuditedStretch } from '../../client/audit-options.ts'
import type { LogFiles } from '../../client/log-files.ts'
import { SteleError } from '../../errors.ts'
import type { LogIdentity } from '../../note/checkpoint.ts'
import type { LevelStore } from '../../storage/level.ts'

/** Of one synced write: large enough that syncing costs little, small enough to be held in memory. */
const STEP_BYTES = 4 * 1024 * 1024
const STEP_ENTRIES = 16_384

/**
 * Reads a whole log into an empty store. Every entry and every tile is hashed and compared while it is read, and all of
 * them together with the signed checkpoint, in memory that does not grow with the log.
 *
 * @param name of the source, for messages
 * @throws SteleError `corrupt` naming the first entry or file that is missing or wrong; as `auditLog`
 */
export async function fillStore(
  store: LevelStore,
  name: string,
  files: LogFiles,
  log: LogIdentity,
  onProgress: (entries: number, size: number) => void,
): Promise<void> {
  const loader = new Loader(store)
  const report = await auditLog(files, {
    origin: log.origin,
    verifierKeys: log.verifiers,
    onStretch: (stretch) => loader.add(stretch),
    onProgress: ({ entries, size }) => onProgress(entries, size),
  })
  if (report.finding) {
    throw new SteleError('corrupt', `${name}: ${report.finding.message}. Nothing was restored`)
  }
  await loader.flush()
}

/** Gathers stretches into steps. */
class Loader {
  readonly #store: LevelStore
  #stretches: AuditedStretch[] = []
  #entries = 0
  #bytes = 0

  constructor(store: LevelStore) {
    this.#store = store
  }

  async add(stretch: AuditedStretch): Promise<void> {
    this.#stretches.push(stretch)
    this.#entries += stretch.entries.length
    this.#bytes += stretch.entries.reduce((sum, entry) => sum + entry.length, 0)
    if (this.#bytes >= STEP_BYTES || this.#entries >= STEP_ENTRIES) await this.flush()
  }

  async flush(): Promise<void> {
    const [first] = this.#stretches
    if (!first) return
    const entries = this.#stretches.flatMap((stretch) => stretch.entries)
    const tiles = this.#stretches.flatMap((stretch) => stretch.tiles)
    this.#stretches = []
    this.#entries = 0
    this.#bytes = 0
    await this.#store.load({ from: first.from, entries, tiles })
  }
}
