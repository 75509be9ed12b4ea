import pc from 'picocolors'
import { once } from 'node:events'
import type { Io } from '../io.ts'
import { Progress } from './progress.ts'

/** How output is wanted. */
export interface OutputOptions {
  /** Data as JSON on standard output, and no remarks. */
  readonly json: boolean
  /** No remarks and no progress; errors and warnings stay. */
  readonly quiet: boolean
  /** Colours, where a terminal shows them. */
  readonly color: boolean
}

/** Where a command speaks: data to standard output, everything else to standard error. */
export class Terminal {
  readonly json: boolean
  readonly #quiet: boolean
  readonly #io: Io
  /** Colours for standard error. */
  readonly paint: ReturnType<typeof pc.createColors>
  /** Colours for standard output, which may be a file while the other is a terminal. */
  readonly paintData: ReturnType<typeof pc.createColors>

  constructor(io: Io, options: OutputOptions) {
    this.#io = io
    this.json = options.json
    this.#quiet = options.quiet
    const wanted = options.color && !io.env['NO_COLOR']
    this.paint = pc.createColors(wanted && io.stderr.isTTY === true)
    this.paintData = pc.createColors(wanted && io.stdout.isTTY === true)
  }

  /** Writes data; resolves when there is room for more, so that a slow reader slows the writer down. */
  async data(bytes: string | Uint8Array): Promise<void> {
    if (!this.#io.stdout.write(bytes)) await once(this.#io.stdout, 'drain')
  }

  /** A line of data for people. */
  line(text = ''): Promise<void> {
    return this.data(`${text}\n`)
  }

  /** A line of data for programs. */
  jsonLine(value: unknown): Promise<void> {
    return this.data(`${JSON.stringify(value)}\n`)
  }

  /** One or the other, as was asked. */
  result(value: unknown, text: string): Promise<void> {
    return this.json ? this.jsonLine(value) : this.line(text)
  }

  /** Whether remarks reach a person, and no log or file. */
  get showsRemarks(): boolean {
    return !this.#quiet && !this.json && this.#io.stderr.isTTY === true
  }

  /** A remark. */
  note(text: string): void {
    if (!this.#quiet && !this.json) this.#io.stderr.write(`${text}\n`)
  }

  /** Something that should not be missed. */
  warn(text: string): void {
    this.#io.stderr.write(`stele: ${this.paint.yellow('warning:')} ${text}\n`)
  }

  /**
   * A progress bar, on a terminal only.
   *
   * @param total where it ends, undefined if nobody knows
   */
  progress(label: string, total?: number): Progress {
    const shown = !this.#quiet && this.#io.stderr.isTTY === true
    return new Progress(shown ? this.#io.stderr : undefined, label, total)
  }
}
