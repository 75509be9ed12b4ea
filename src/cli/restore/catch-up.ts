import type { LogFiles } from '../../client/log-files.ts'
import { TILE_WIDTH } from '../../tile/path.ts'

/**
 * A backup, and what came after it from somewhere else: full files that the backup's checkpoint covers are read there,
 * all others from the one that has more. Each byte is checked against the larger head, whichever it came from.
 */
export class CatchUpFiles implements LogFiles {
  readonly #backup: LogFiles
  readonly #size: number
  readonly #more: LogFiles
  readonly #note: string

  /**
   * @param size of the backup's checkpoint
   * @param note the larger checkpoint
   */
  constructor(backup: LogFiles, size: number, more: LogFiles, note: string) {
    this.#backup = backup
    this.#size = size
    this.#more = more
    this.#note = note
  }

  async checkpoint(): Promise<string> {
    return this.#note
  }

  tile(level: number, index: number, width: number): Promise<Uint8Array | undefined> {
    const files = this.#has((index + 1) * TILE_WIDTH ** (level + 1), width) ? this.#backup : this.#more
    return files.tile(level, index, width)
  }

  bundle(index: number, width: number): Promise<Uint8Array | undefined> {
    const files = this.#has((index + 1) * TILE_WIDTH, width) ? this.#backup : this.#more
    return files.bundle(index, width)
  }

  #has(end: number, width: number): boolean {
    return width === TILE_WIDTH && end <= this.#size
  }
}
