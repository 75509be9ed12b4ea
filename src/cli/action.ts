import type { Command } from 'commander'
import { Context } from './context.ts'
import type { Io } from './io.ts'

/** Runs the commands of one program; owner of the exit code. */
export class Actions {
  readonly #io: Io
  exitCode = 0

  constructor(io: Io) {
    this.#io = io
  }

  /**
   * Turns a function into what commander calls.
   *
   * @param run gets the context, the options of its command, and its arguments; it may give an exit code, else
   *   the code is 0
   */
  of<Options, Args extends (string | string[] | undefined)[]>(
    run: (context: Context, options: Options, ...args: Args) => Promise<number | void>,
  ): (...all: unknown[]) => Promise<void> {
    return async (...all) => {
      const command = all.at(-1) as Command
      const options = all.at(-2) as Options
      const code = await run(new Context(this.#io, command), options, ...(all.slice(0, -2) as Args))
      this.exitCode = code ?? 0
    }
  }
}
