// Says on standard error what is being done: one line drawn over itself on a terminal, plain lines elsewhere.
import { stderr } from 'node:process'

export class Progress {
  #startedMs = performance.now()
  #section = ''

  /** What follows belongs to this measurement. */
  section(title) {
    this.#section = title
    this.#write(title, true)
  }

  /** One step of it. */
  step(text) {
    this.#write(`${this.#section}: ${text}`, false)
  }

  /** Takes the line away. */
  end() {
    if (stderr.isTTY) stderr.write('\r\u001B[K')
  }

  #write(text, always) {
    const at = `${String(Math.round((performance.now() - this.#startedMs) / 1000)).padStart(4)} s  `
    if (stderr.isTTY) stderr.write(`\r\u001B[K${(at + text).slice(0, (stderr.columns ?? 80) - 1)}`)
    else if (always) stderr.write(`${at}${text}\n`)
  }
}
