import type { Configuration } from '../instance/configuration.ts'
import type { Placed, TrailAccounts } from './trail-accounts.ts'

/** Bytes of one entry of the meta log: many lines share one, so that a line costs a fraction of an entry. */
const PAGE_BYTES = 32 * 1024
/** Bytes of lines that are written at once: a commit that readers do not feel. */
const MOST_BYTES = 4 * 1024 * 1024

/** A line as it is written, with its line feed. */
export interface WrittenLine {
  readonly text: string
  /** Of its UTF-8. */
  readonly bytes: number
  /** What is recorded as the configuration once this line is on disk. */
  readonly configuration?: Configuration | undefined
  /** Entries that this line speaks of. */
  readonly placed?: Placed | undefined
  /** Sizes of logs that this line states: entries below them count as spoken of. */
  readonly sizes?: readonly { readonly log: string; readonly size: number }[] | undefined
}

/** Lines that gather while others are being written, and share one append then: all of them are on disk, or none. */
export class MetaRound {
  readonly #lines: WrittenLine[] = []
  #bytes = 0
  #configuration: Configuration | undefined
  /** Settles for all who wait for a line of it. */
  readonly done: Promise<void>
  resolve!: () => void
  reject!: (reason: unknown) => void

  constructor() {
    this.done = new Promise((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
    })
    // Somebody waits for every round; this only covers the moment before they get to it.
    this.done.catch(() => {})
  }

  get length(): number {
    return this.#lines.length
  }

  /** What its lines say that the configuration is, the last of them if several do. */
  get configuration(): Configuration | undefined {
    return this.#configuration
  }

  /** True if a line has room in it; the first one always has. */
  hasRoomFor({ bytes }: WrittenLine): boolean {
    return this.#bytes === 0 || this.#bytes + bytes <= MOST_BYTES
  }

  add(line: WrittenLine): void {
    this.#lines.push(line)
    this.#bytes += line.bytes
    this.#configuration = line.configuration ?? this.#configuration
  }

  /** Puts lines ahead of all others. */
  addFirst(lines: readonly WrittenLine[]): void {
    this.#lines.unshift(...lines)
    for (const { bytes } of lines) this.#bytes += bytes
  }

  /** True if one of its lines states what the size of each log is. */
  get isStart(): boolean {
    return this.#lines.some(({ sizes }) => sizes !== undefined)
  }

  /** Counts what its lines speak of, once they are on disk. */
  account(accounts: TrailAccounts): void {
    for (const { placed, sizes } of this.#lines) {
      if (placed) accounts.cover(placed)
      if (sizes) for (const { log, size } of sizes) accounts.begin(log, size)
    }
  }

  /** Its lines in order, as few entries as hold them. A page is cut between lines; each ends with a line feed. */
  pages(): Uint8Array[] {
    const pages: string[][] = [[]]
    let size = 0
    for (const { text, bytes } of this.#lines) {
      if (size > 0 && size + bytes > PAGE_BYTES) {
        pages.push([])
        size = 0
      }
      pages.at(-1)!.push(text)
      size += bytes
    }
    return pages.map((page) => Buffer.from(page.join('')))
  }
}
