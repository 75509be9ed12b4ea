import { createContext, Script, type Context } from 'node:vm'

/**
 * A regular expression that cannot hold up the monitor: whoever writes entries may know the expression and choose a
 * text for which it takes years. V8 looks for interrupts while it backtracks, so that the time limit of a `vm` script
 * ends it.
 */
export class GuardedRegex {
  readonly #world: Context & { texts: readonly string[]; found: boolean[] }
  readonly #script = new Script('found = texts.map((text) => regex.test(text))')
  readonly #limitMs: number

  /**
   * @param regex without the flags g and y, by which one text would change the verdict on the next
   * @param limitMs for one text, in milliseconds
   */
  constructor(regex: RegExp, limitMs: number) {
    // Not for security: the script is ours. A context is what a time limit can be had for.
    const world = { regex, texts: [], found: [] }
    createContext(world)
    this.#world = world
    this.#limitMs = limitMs
  }

  /** For each text whether it matches; undefined where that could not be found out in time. */
  async test(texts: readonly string[]): Promise<(boolean | undefined)[]> {
    const together = this.#run(texts)
    if (together) return together
    const found: (boolean | undefined)[] = []
    for (const text of texts) {
      found.push(this.#run([text])?.[0])
      // Each may take the whole limit: in between, other logs get their turn.
      await new Promise((resolve) => setImmediate(resolve))
    }
    return found
  }

  #run(texts: readonly string[]): boolean[] | undefined {
    this.#world.texts = texts
    try {
      this.#script.runInContext(this.#world, { timeout: this.#limitMs })
      return [...this.#world.found]
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return undefined
      throw error
    }
  }
}
