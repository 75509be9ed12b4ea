import { SteleError } from '../errors.ts'
import { TILE_WIDTH } from '../tile/path.ts'
import { type ScrubberOptions, type ScrubClock, type ScrubEvents, within } from './scrub-options.ts'
import { indexFileFinding, scrubFinding, type ScrubFinding } from './scrub-finding.ts'
import type { StoredParts } from '../log/options.ts'
import { VerifiedPath } from './scrub-path.ts'
import { IndexFilesCheck, StretchCheck, type ScrubCheck } from './scrub-stretch.ts'

/**
 * The scrubber rests this many milliseconds for each one of work: it never takes more than a tenth of a core or of a
 * slow disk.
 */
const REST = 9
/** A finding is checked a second time after this long. */
const CONFIRM_MS = 1000
/** Delays before a failed read is repeated. After the last one the content counts as unreadable. */
const RETRY_MS = [1000, 10_000, 60_000]

/** What a reader is made of, beside what all scrubbers of a process share. */
export interface StretchReaderDeps extends Pick<ScrubberOptions, 'bytesPerSecond' | 'turns'> {
  readonly parts: StoredParts
  readonly clock: ScrubClock
  readonly events: ScrubEvents
  readonly signal: AbortSignal
  /** Which leaves of a stretch to look up in the leaf index. */
  readonly looksUp: (stretch: number, index: number) => boolean
}

/**
 * Reads one stretch after the other, at the allowed rate, and says what of it is damaged for certain. Owner of what was
 * checked above the stretches, and of the counts of what was read.
 */
export class StretchReader {
  readonly #parts: StoredParts
  readonly #deps: StretchReaderDeps
  #path: VerifiedPath
  #bytesRead = 0
  #readErrors = 0

  constructor(deps: StretchReaderDeps) {
    this.#deps = deps
    this.#parts = deps.parts
    this.#path = this.#newPath()
  }

  get bytesRead(): number {
    return this.#bytesRead
  }

  get readErrors(): number {
    return this.#readErrors
  }

  /** Discards the checked tiles: the next read starts from the edge, so that a tile repaired on disk is seen. */
  forget(): void {
    this.#path = this.#newPath()
  }

  /**
   * Checks one stretch.
   *
   * @param isKnown whether something was found before: it need not be seen twice again
   * @returns all that is damaged in it, and stretches before it in which damage begins that reaches into it; undefined when
   *   it was stopped before that was known
   */
  async read(
    stretch: number,
    isKnown: (finding: ScrubFinding) => boolean,
  ): Promise<{ findings: readonly ScrubFinding[]; damagedBefore: Iterable<number> } | undefined> {
    let check: StretchCheck | undefined
    const make = (): StretchCheck => (check = this.#checkOf(stretch))
    const unreadable = (error: SteleError): ScrubFinding => this.#unreadable(stretch, error)
    const suspected = await this.#patiently(make, unreadable)
    const findings = suspected?.every(isKnown)
      ? suspected
      : await this.#confirmed(suspected, make, unreadable)
    return findings && { findings, damagedBefore: check!.damagedBefore }
  }

  /**
   * Checks the files of the leaf index that hold a share of its keys, 0 to 1.
   *
   * @param share default: what is known to be damaged, or all while nothing is
   * @returns all that is damaged, as far as it is known
   */
  readIndexFiles(share?: readonly [from: number, to: number]): Promise<readonly ScrubFinding[] | undefined> {
    return this.#patiently(
      () => new IndexFilesCheck(this.#parts, share, yieldTurn),
      (error) => indexFileFinding('its files', error.message),
    )
  }

  /** Counts and reports a failed read, which says nothing about what is stored. */
  failed(cause: unknown): SteleError {
    const error = asReadError(cause)
    this.#readErrors++
    this.#deps.events.onReadError?.(error)
    return error
  }

  /** Only what two checks find is damage. */
  async #confirmed(
    suspected: readonly ScrubFinding[] | undefined,
    make: () => ScrubCheck,
    unreadable: (error: SteleError) => ScrubFinding,
  ): Promise<readonly ScrubFinding[] | undefined> {
    if (!suspected) return undefined
    await this.#sleep(CONFIRM_MS)
    if (this.#stopped) return undefined
    this.forget()
    const again = await this.#patiently(make, unreadable)
    return again?.filter(({ message }) => suspected.some((suspect) => suspect.message === message))
  }

  /** Repeats a failed read. A failure concerns the disk at that moment, not what is stored. */
  async #patiently(
    make: () => ScrubCheck,
    unreadable: (error: SteleError) => ScrubFinding,
  ): Promise<readonly ScrubFinding[] | undefined> {
    for (let attempt = 0; !this.#stopped; attempt++) {
      try {
        return await this.#atRate(make)
      } catch (cause) {
        const error = this.failed(cause)
        const waitMs = RETRY_MS[attempt]
        if (waitMs === undefined) return [unreadable(error)]
        await this.#sleep(waitMs)
      }
    }
    return undefined
  }

  async #atRate(make: () => ScrubCheck): Promise<readonly ScrubFinding[] | undefined> {
    const spent = { bytes: 0, ms: 0 }
    try {
      return await this.#deps.turns.take(this.#deps.signal, () => this.#timed(make(), spent))
    } finally {
      await this.#rest(spent)
    }
  }

  async #timed(check: ScrubCheck, spent: { bytes: number; ms: number }): Promise<readonly ScrubFinding[]> {
    const { clock } = this.#deps
    const startedMs = clock.nowMs()
    try {
      await check.run()
    } finally {
      spent.bytes = check.bytesRead
      spent.ms = within(clock.nowMs() - startedMs, 60_000)
    }
    return check.findings
  }

  #checkOf(stretch: number): StretchCheck {
    const { looksUp } = this.#deps
    const tree = this.#parts.tree()
    this.#path.moveTo(tree)
    return new StretchCheck(this.#parts, this.#path, tree, stretch, {
      yieldTurn,
      looksUp: (index) => looksUp(stretch, index),
    })
  }

  /** Waits as long as the bytes are worth, and longer where the work itself took long: others need the machine then. */
  #rest({ bytes, ms }: { readonly bytes: number; readonly ms: number }): Promise<void> {
    this.#bytesRead += bytes
    const worthMs = Math.ceil((bytes * 1000) / this.#deps.bytesPerSecond)
    return this.#sleep(Math.max(worthMs - ms, ms * REST))
  }

  #unreadable(stretch: number, error: SteleError): ScrubFinding {
    const begin = stretch * TILE_WIDTH
    const end = Math.min(begin + TILE_WIDTH, this.#parts.tree().size)
    return scrubFinding({ kind: 'unreadable', begin, end }, 'that they can be read', error.message)
  }

  #newPath(): VerifiedPath {
    return new VerifiedPath(this.#parts.store, this.#parts.tree())
  }

  #sleep(ms: number): Promise<void> {
    return this.#deps.clock.sleep(ms, this.#deps.signal)
  }

  get #stopped(): boolean {
    return this.#deps.signal.aborted
  }
}

const yieldTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function asReadError(error: unknown): SteleError {
  if (error instanceof SteleError) return error
  const message = error instanceof Error ? error.message : String(error)
  return new SteleError('internal', `scrubber: ${message}`, { cause: error })
}
