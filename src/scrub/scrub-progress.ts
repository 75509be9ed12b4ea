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

/** The cursor moves at least this often: what is verified again after a crash. */
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

  /** Goes on where the last process was, with what it knew. */
  async restore(known: KnownFindings): Promise<void> {
    const bytes = await this.#file.read().catch(() => undefined)
    const cursor = bytes && decodeCursor(bytes)
    // Of a larger log: a backup was restored, and the cursor was not.
    if (!cursor || Math.max(cursor.next, cursor.target) * TILE_WIDTH > this.#treeSize()) return
    known.restore(cursor.findings)
    this.#cursor = cursor
    if (cursor.lastPass?.pass === cursor.pass) this.beginPass()
  }

  /** Keeps the cursor, with what is known. @throws whatever its file throws: it costs work after a restart */
  async save(known: KnownFindings): Promise<void> {
    this.#savedAtMs = this.#clock.nowMs()
    await this.#file.write(encodeCursor({ ...this.#cursor, findings: known.entries() }))
  }

  /** Whether it was kept long ago. */
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
