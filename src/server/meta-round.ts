import type { Configuration } from './configuration.ts'

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
  readonly configuration: Configuration | undefined
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

  /** Puts a line ahead of all others. */
  addFirst(line: WrittenLine): void {
    this.#lines.unshift(line)
    this.#bytes += line.bytes
    this.#configuration ??= line.configuration
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
