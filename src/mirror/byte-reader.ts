import { SteleError } from '../errors.ts'

/** Where bytes come from: the next ones, or undefined at the end. */
export type ByteSource = () => Promise<Uint8Array | undefined>

/** Reads a stream piece by piece. It holds what the piece at hand needs, and the rest of the chunk behind it. */
export class ByteReader {
  readonly #next: ByteSource
  #chunk: Uint8Array = new Uint8Array(0)
  #at = 0

  constructor(next: ByteSource) {
    this.#next = next
  }

  /**
   * Exactly so many bytes; a view, where one chunk holds them.
   *
   * @throws SteleError {@link CutShort} if the stream ends before; whatever the source throws
   */
  take(count: number, what: string): Uint8Array | Promise<Uint8Array> {
    const end = this.#at + count
    if (end > this.#chunk.length) return this.#gather(count, what)
    const bytes = this.#chunk.subarray(this.#at, end)
    this.#at = end
    return bytes
  }

  /** As many bytes as the uint16 says that stands before them. Throws as {@link take} does. */
  async takeSized(what: string): Promise<Uint8Array> {
    const length = await this.take(2, what)
    return this.take(length[0]! * 256 + length[1]!, what)
  }

  async #gather(count: number, what: string): Promise<Uint8Array> {
    const bytes = new Uint8Array(count)
    let filled = 0
    while (filled < count) {
      if (this.#at === this.#chunk.length) await this.#fetch(what)
      const part = this.#chunk.subarray(this.#at, this.#at + count - filled)
      bytes.set(part, filled)
      filled += part.length
      this.#at += part.length
    }
    return bytes
  }

  async #fetch(what: string): Promise<void> {
    const chunk = await this.#next()
    if (chunk === undefined) throw new CutShort(what)
    this.#chunk = chunk
    this.#at = 0
  }
}

/** The stream ended within a piece. */
export class CutShort extends SteleError {
  constructor(what: string, options: ErrorOptions = {}) {
    super('malformed', `body: cut short within ${what}`, options)
  }
}
