import { decodeUtf8, encodeUtf8 } from '../bytes/text.ts'
import type { ScrubFile } from './scrub-cursor.ts'
import { LEAF_INDEX_REGION } from './scrub-region.ts'

/**
 * One death may be chance: a power cut, or whoever ended the process. A second one while the same was read once more, by
 * itself, is not.
 */
const DEADLY = 2

/** Every mark is as long as any other, so that one is written over the other without room on the disk. */
const MARK_BYTES = 24

/** Where the marks are kept. */
export interface ScrubMarkFiles {
  /** Written before each read. The page cache is enough: what is guarded against is the end of the process alone. */
  readonly reading: ScrubFile
  /** Written once after a death; durable. */
  readonly deaths: ScrubFile
}

/**
 * What LevelDB is about to read, written where it outlives the process: some damage makes LevelDB end the whole process
 * instead of reporting it. The databases are divided into regions, one for each tile of level 0 and all that stands at
 * its positions. Owner of both files, and of what is known of regions in which the process has ended before.
 */
export class ScrubMarks {
  readonly #files: ScrubMarkFiles
  readonly #onFailure: (error: unknown) => void
  readonly #deaths = new Map<number, number>()
  #reading: number | undefined
  #saved = true
  #complained = false

  /** @param onFailure told when a mark cannot be written */
  constructor(files: ScrubMarkFiles, onFailure: (error: unknown) => void) {
    this.#files = files
    this.#onFailure = onFailure
  }

  /**
   * Reads what the last process has left, and counts its death if it ended in the middle of a read.
   *
   * @param regions how many there are; what is said of others is of another database
   */
  async load(regions: number): Promise<void> {
    const exists = (region: number): boolean => region >= LEAF_INDEX_REGION && region < regions
    const deaths = decodeDeaths(await this.#files.deaths.read().catch(() => undefined))
    for (const [region, count] of deaths) if (exists(region)) this.#deaths.set(region, count)
    const left = decodeMark(await this.#files.reading.read().catch(() => undefined))
    if (left === undefined) return
    // Cleared before it is counted: dying between costs one more death, the other way round one would count twice.
    await this.#mark(undefined)
    if (!exists(left)) return
    this.#deaths.set(left, this.deathsIn(left) + 1)
    await this.#save()
  }

  /** How often the process has ended while this region was read, and was not read to its end since. */
  deathsIn(region: number): number {
    return this.#deaths.get(region) ?? 0
  }

  /** Whether a region is not to be read any more. */
  refuses(region: number): boolean {
    // A death that cannot be kept would be the first one again after the next, and so on for ever.
    return this.deathsIn(region) >= (this.#saved ? DEADLY : 1)
  }

  /** Regions in which the process has ended, those first that are still to be read once more. */
  regions(): number[] {
    return [...this.#deaths.keys()].sort((a, b) => Number(this.refuses(a)) - Number(this.refuses(b)))
  }

  /** Says what is read next. Reads go on where that cannot be written: such a disk is not read for long. */
  async enter(region: number): Promise<void> {
    if (this.#reading !== region) await this.#mark(region)
  }

  /** Nothing is being read any more. */
  async leave(): Promise<void> {
    if (this.#reading !== undefined) await this.#mark(undefined)
  }

  /** All of a region was read, and the process lives. */
  async survived(region: number): Promise<void> {
    if (this.refuses(region) || !this.#deaths.delete(region)) return
    await this.#save()
  }

  async #mark(region: number | undefined): Promise<void> {
    this.#reading = region
    try {
      await this.#files.reading.write(encodeMark(region))
      this.#complained = false
    } catch (error) {
      if (!this.#complained) this.#onFailure(error)
      this.#complained = true
    }
  }

  async #save(): Promise<void> {
    try {
      await this.#files.deaths.write(encodeUtf8(`${JSON.stringify([...this.#deaths])}\n`))
      this.#saved = true
    } catch (error) {
      this.#saved = false
      this.#onFailure(error)
    }
  }
}

function encodeMark(region: number | undefined): Uint8Array {
  return encodeUtf8(`${region ?? '-'}\n`.padStart(MARK_BYTES))
}

function decodeMark(bytes: Uint8Array | undefined): number | undefined {
  if (bytes?.length !== MARK_BYTES) return undefined
  const text = String.fromCharCode(...bytes).trim()
  return /^(-1|\d{1,15})$/.test(text) ? Number(text) : undefined
}

function decodeDeaths(bytes: Uint8Array | undefined): (readonly [region: number, count: number])[] {
  try {
    const value: unknown = bytes ? JSON.parse(decodeUtf8(bytes, 'scrub deaths')) : []
    return Array.isArray(value) ? value.filter(isDeath) : []
  } catch {
    return []
  }
}

function isDeath(value: unknown): value is readonly [number, number] {
  return Array.isArray(value) && value.length === 2 && value.every(Number.isSafeInteger)
}
