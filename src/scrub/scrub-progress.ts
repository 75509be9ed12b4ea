import { TILE_WIDTH } from '../tile/path.ts'
import type { ScrubClock } from './scrub-options.ts'
import {
  decodeCursor,
  encodeCursor,
  type ScrubCursor,
  type ScrubFile,
  type ScrubPass,
} from './scrub-cursor.ts'
import type { KnownFindings } from './scrub-finding.ts'

/** How often the cursor is saved at least, which bounds the work repeated after a crash. */
const SAVE_MS = 10_000

/** How far a scrubber is in its pass. Owner of the cursor. */
export class ScrubProgress {
  readonly #file: ScrubFile
  readonly #clock: ScrubClock
  readonly #treeSize: () => number
  #cursor: ScrubCursor
  #savedAtMs = 0

  constructor(file: ScrubFile, clock: ScrubClock, treeSize: () => number) {
    this.#file = file
    this.#clock = clock
    this.#treeSize = treeSize
    this.#cursor = this.#newPass(1, undefined)
  }

  get cursor(): ScrubCursor {
    return this.#cursor
  }

  /** Restores the position and the findings of the last process. */
  async restore(known: KnownFindings): Promise<void> {
    const bytes = await this.#file.read().catch(() => undefined)
    const cursor = bytes && decodeCursor(bytes)
    // The cursor belongs to a larger log: a backup was restored without it.
    if (!cursor || Math.max(cursor.next, cursor.target) * TILE_WIDTH > this.#treeSize()) return
    known.restore(cursor.findings)
    this.#cursor = cursor
    if (cursor.lastPass?.pass === cursor.pass) this.beginPass()
  }

  /** Saves the cursor and the findings. @throws what its file throws; a lost save costs work after a restart */
  async save(known: KnownFindings): Promise<void> {
    this.#savedAtMs = this.#clock.nowMs()
    await this.#file.write(encodeCursor({ ...this.#cursor, findings: known.entries() }))
  }

  /** True if the last save was long ago. */
  get isDue(): boolean {
    return this.#clock.nowMs() - this.#savedAtMs >= SAVE_MS
  }

  /** Bytes were read, for this pass or for what is known. */
  readBytes(bytes: number): void {
    this.#cursor = { ...this.#cursor, bytesRead: this.#cursor.bytesRead + bytes }
  }

  /** The next stretch is done: a whole one, or, when they all are, the tail. */
  verified(leaves: number): void {
    const { next, target } = this.#cursor
    const moved = next < target ? next + 1 : next
    this.#cursor = { ...this.#cursor, next: moved, leaves: this.#cursor.leaves + leaves }
  }

  /** @param findings what is damaged by now */
  endPass(findings: number): ScrubPass {
    const { pass, startedAtMs, leaves, bytesRead } = this.#cursor
    const done = { pass, startedAtMs, finishedAtMs: this.#clock.nowMs(), leaves, bytesRead, findings }
    this.#cursor = { ...this.#cursor, lastPass: done }
    return done
  }

  /** After one that was ended. */
  beginPass(): void {
    const { pass, lastPass } = this.#cursor
    this.#cursor = this.#newPass(pass + 1, lastPass)
  }

  #newPass(pass: number, lastPass: ScrubPass | undefined): ScrubCursor {
    const target = Math.floor(this.#treeSize() / TILE_WIDTH)
    const startedAtMs = this.#clock.nowMs()
    return { pass, startedAtMs, next: 0, target, leaves: 0, bytesRead: 0, lastPass, findings: [] }
  }
}
