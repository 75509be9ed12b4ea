// On a machine that others use, waits for a quiet time.
import { sleep } from './load.mjs'
import { watchOthers } from './proc.mjs'

/** Cores that others may keep busy before a figure is called disturbed. */
export const DISTURBED_CORES = 0.15

const LOOK_SECONDS = 3
const ATTEMPTS = 6

/** Owner of the time that may be spent on waiting and repeating. */
export class Patience {
  #leftSeconds
  #progress

  constructor(seconds, progress) {
    this.#leftSeconds = seconds
    this.#progress = progress
  }

  /** Measures, again if others disturbed it and there is time left; gives the attempt that was disturbed least. */
  async quietest(attempt) {
    let best
    for (let i = 0; i < ATTEMPTS; i++) {
      await this.#quiet()
      const startedMs = performance.now()
      const found = await attempt()
      if (best === undefined || found.others < best.others) best = found
      if (!(best.others >= DISTURBED_CORES) || this.#leftSeconds <= 0) return best
      this.#leftSeconds -= (performance.now() - startedMs) / 1000
    }
    return best
  }

  async #quiet() {
    while (this.#leftSeconds > 0) {
      const others = watchOthers()
      await sleep(LOOK_SECONDS)
      const cores = others()
      if (cores === undefined || cores < DISTURBED_CORES) return
      this.#leftSeconds -= LOOK_SECONDS
      this.#progress(`waiting, others keep ${cores.toFixed(2)} cores busy`)
    }
  }
}
