import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import pc from 'picocolors'
import { visible, visibleJson, visibleText } from '../../bytes/visible.ts'
import type { Io, Sink } from '../io.ts'
import { formatCount, formatSeconds } from './units.ts'

/** How output is wanted. */
interface OutputOptions {
  /** Data as JSON on standard output, and no remarks. */
  readonly json: boolean
  /** No remarks and no progress; errors and warnings stay. */
  readonly quiet: boolean
  /** Colours, where a terminal shows them. */
  readonly color: boolean
}

const COLOURS = ['green', 'red', 'yellow', 'bold'] as const

/** Colours: each takes a piece of a line, of which control characters are written out. */
export type Paint = Readonly<Record<(typeof COLOURS)[number], (text: string) => string>>

/**
 * Where a command speaks: data to standard output, everything else to standard error. What a terminal would act on is
 * written out on its way (`bytes/visible.ts`): labels, origins, entries and the sentences of servers are other people's.
 */
export class Terminal {
  readonly json: boolean
  readonly #quiet: boolean
  readonly #io: Io
  /** Stands for ESC in our own colours until the rest is escaped. Random, so that no foreign text can hold it. */
  readonly #escape = `<${randomUUID()}>`
  /** Colours for standard error. */
  readonly paint: Paint
  /** Colours for standard output, which may be a file while the other is a terminal. */
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
   * Writes data for programs, exactly; on a terminal it is text, and what that would act on is written out. Resolves when
   * there is room for more, so that a slow reader slows the writer down.
   */
  data(bytes: string | Uint8Array): Promise<void> {
    return this.#write(this.#io.stdout.isTTY ? visibleText(textOf(bytes)) : bytes)
  }

  /** The bytes of an entry: as {@link data}, and on a terminal one line, whatever is in them. */
  entry(bytes: Uint8Array): Promise<void> {
    return this.#write(this.#io.stdout.isTTY ? `${visible(textOf(bytes))}\n` : bytes)
  }

  /** A line of data for people, or several. Other people's text in it that may hold line feeds is for {@link row}. */
  line(text = ''): Promise<void> {
    return this.#write(`${this.#shown(text)}\n`)
  }

  /** A line of cells with tabs between, none of which can break out of its own. */
  row(cells: readonly string[]): Promise<void> {
    return this.line(cells.map(visible).join('\t'))
  }

  /** A line of data for programs: what is read back is what was given. */
  jsonLine(value: unknown): Promise<void> {
    return this.#write(`${visibleJson(JSON.stringify(value))}\n`)
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
    if (!this.#quiet && !this.json) this.#io.stderr.write(`${this.#shown(text)}\n`)
  }

  /** Something that should not be missed. */
  warn(text: string): void {
    this.#io.stderr.write(`stele: ${this.#shown(`${this.paint.yellow('warning:')} ${indented(text)}`)}\n`)
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

/** The lines of a message behind the first, so that none of them looks like output of ours. */
export function indented(message: string): string {
  return message.replaceAll(/\n(?! |stele: |\n|$)/g, '\n  ')
}

function textOf(bytes: string | Uint8Array): string {
  return typeof bytes === 'string' ? bytes : new TextDecoder().decode(bytes)
}

const REDRAW_MS = 100
const BAR_WIDTH = 24

/** One line on a terminal that is drawn over itself. Does nothing without a terminal. */
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

  /** Says how far it is, and where it ends if that is known only now; draws at most ten times a second. */
  at(done: number, extra = '', total = this.#total): void {
    this.#done = done
    this.#extra = extra
    this.#total = total
    this.draw(() => this.#line(performance.now()))
  }

  /** Shows a line of the caller's own; `make` is called only when it is drawn. */
  draw(make: () => string): void {
    if (!this.#sink) return
    const nowMs = performance.now()
    if (nowMs - this.#drawnMs < REDRAW_MS) return
    this.#drawnMs = nowMs
    this.#sink.write(`\r\u001B[K${visible(make()).slice(0, (this.#sink.columns ?? 80) - 1)}`)
  }

  /** Takes the line away, so that what is written next begins at the left. */
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
