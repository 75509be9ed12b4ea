import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import pc from 'picocolors'
import { visible, visibleJson, visibleText } from '../../bytes/visible.ts'
import type { Io, Sink } from '../io.ts'
import { formatCount, formatSeconds } from './units.ts'

/** The wanted form of output. */
interface OutputOptions {
  /** Write results as JSON to standard output, and no remarks. */
  readonly json: boolean
  /** No remarks and no progress; errors and warnings are still written. */
  readonly quiet: boolean
  /** Use colours on a terminal. */
  readonly color: boolean
}

const COLOURS = ['green', 'red', 'yellow', 'bold'] as const

/** Colour functions. Control characters in their text are escaped. */
export type Paint = Readonly<Record<(typeof COLOURS)[number], (text: string) => string>>

/**
 * The output of a command: results to standard output, everything else to standard error. Control characters are
 * escaped on a terminal (`bytes/visible.ts`), since labels, origins, entries and server messages may come from an
 * attacker.
 */
export class Terminal {
  readonly json: boolean
  readonly #quiet: boolean
  readonly #io: Io
  /** Replaces ESC in our own colour codes until the rest is escaped. Random, so that foreign text cannot contain it. */
  readonly #escape = `<${randomUUID()}>`
  /** Colours for standard error. */
  readonly paint: Paint
  /** Colours for standard output, which may be a file while standard error is a terminal. */
  readonly paintData: Paint

  constructor(io: Io, options: OutputOptions) {
    this.#io = io
    this.json = options.json
    this.#quiet = options.quiet
    const wanted = options.color && !io.env['NO_COLOR']
    this.paint = this.#colours(wanted && io.stderr.isTTY === true)
    this.paintData = this.#colours(wanted && io.stdout.isTTY === true)
  }

  /**
   * Writes data for programs unchanged; on a terminal, control characters are escaped. Resolves when there is room for
   * more, so that a slow reader slows down the writer.
   */
  data(bytes: string | Uint8Array): Promise<void> {
    return this.#write(this.#io.stdout.isTTY ? visibleText(textOf(bytes)) : bytes)
  }

  /** Writes the bytes of an entry as {@link data}; on a terminal, as one escaped line. */
  entry(bytes: Uint8Array): Promise<void> {
    return this.#write(this.#io.stdout.isTTY ? `${visible(textOf(bytes))}\n` : bytes)
  }

  /** Writes one or more lines of text. For foreign text that may contain line feeds use {@link row}. */
  line(text = ''): Promise<void> {
    return this.#write(`${this.#shown(text)}\n`)
  }

  /** Writes a line of tab-separated cells. A line feed or tab in a cell is escaped. */
  row(cells: readonly string[]): Promise<void> {
    return this.line(cells.map(visible).join('\t'))
  }

  /** Writes a line of JSON, which parses back to the same value. */
  jsonLine(value: unknown): Promise<void> {
    return this.#write(`${visibleJson(JSON.stringify(value))}\n`)
  }

  /** Writes the value as JSON or the text, as the options ask. */
  result(value: unknown, text: string): Promise<void> {
    return this.json ? this.jsonLine(value) : this.line(text)
  }

  /** Whether remarks are shown to a person, rather than written to a log or file. */
  get showsRemarks(): boolean {
    return !this.#quiet && !this.json && this.#io.stderr.isTTY === true
  }

  /** Writes a remark. */
  note(text: string): void {
    if (!this.#quiet && !this.json) this.#io.stderr.write(`${this.#shown(text)}\n`)
  }

  /** Writes a warning. */
  warn(text: string): void {
    this.#io.stderr.write(`stele: ${this.#shown(`${this.paint.yellow('warning:')} ${indented(text)}`)}\n`)
  }

  /**
   * A progress bar, on a terminal only.
   *
   * @param total the end value, undefined if unknown
   */
  progress(label: string, total?: number): Progress {
    const shown = !this.#quiet && this.#io.stderr.isTTY === true
    return new Progress(shown ? this.#io.stderr : undefined, label, total)
  }

  async #write(bytes: string | Uint8Array): Promise<void> {
    if (!this.#io.stdout.write(bytes)) await once(this.#io.stdout, 'drain')
  }

  #shown(text: string): string {
    return visibleText(text).replaceAll(this.#escape, '\u001B')
  }

  #colours(enabled: boolean): Paint {
    const colours = pc.createColors(enabled)
    const paints = COLOURS.map((name) => {
      const paint = (text: string): string => colours[name](visible(text)).replaceAll('\u001B', this.#escape)
      return [name, paint] as const
    })
    return Object.fromEntries(paints) as Paint
  }
}

/** Indents the further lines of a message, so that they cannot look like separate output. */
export function indented(message: string): string {
  return message.replaceAll(/\n(?! |stele: |\n|$)/g, '\n  ')
}

function textOf(bytes: string | Uint8Array): string {
  return typeof bytes === 'string' ? bytes : new TextDecoder().decode(bytes)
}

const REDRAW_MS = 100
const BAR_WIDTH = 24

/** A status line on a terminal that is redrawn in place. Does nothing without a terminal. */
export class Progress {
  readonly #sink: Sink | undefined
  readonly #label: string
  #total: number | undefined
  readonly #startedMs: number
  #done = 0
  #extra = ''
  #drawnMs = 0

  constructor(sink: Sink | undefined, label: string, total: number | undefined, nowMs = performance.now()) {
    this.#sink = sink
    this.#label = label
    this.#total = total
    this.#startedMs = nowMs
  }

  /** Updates the progress, and the total if it is only known now. Draws at most ten times a second. */
  at(done: number, extra = '', total = this.#total): void {
    this.#done = done
    this.#extra = extra
    this.#total = total
    this.draw(() => this.#line(performance.now()))
  }

  /** Draws another line; `make` is called only when it is drawn. */
  draw(make: () => string): void {
    if (!this.#sink) return
    const nowMs = performance.now()
    if (nowMs - this.#drawnMs < REDRAW_MS) return
    this.#drawnMs = nowMs
    this.#sink.write(`\r\u001B[K${visible(make()).slice(0, (this.#sink.columns ?? 80) - 1)}`)
  }

  /** Clears the line, so that the next output begins at the left. */
  end(): void {
    if (this.#sink && this.#drawnMs > 0) this.#sink.write('\r\u001B[K')
  }

  #line(nowMs: number): string {
    const seconds = (nowMs - this.#startedMs) / 1000
    const rate = seconds > 0 ? this.#done / seconds : 0
    const parts = [this.#label, this.#bar(), formatCount(this.#done), `${formatCount(Math.round(rate))}/s`]
    if (this.#total !== undefined && rate > 0 && this.#done < this.#total) {
      parts.push(`${formatSeconds((this.#total - this.#done) / rate)} left`)
    }
    if (this.#extra) parts.push(this.#extra)
    return parts.filter(Boolean).join('  ')
  }

  #bar(): string {
    if (this.#total === undefined || this.#total === 0) return ''
    const share = Math.min(1, this.#done / this.#total)
    const full = Math.round(share * BAR_WIDTH)
    return `[${'#'.repeat(full)}${'.'.repeat(BAR_WIDTH - full)}] ${String(Math.floor(share * 100)).padStart(3)} %`
  }
}
