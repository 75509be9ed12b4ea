import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { hasCode, SteleError } from '../errors.ts'
import { Context, serverOfLog } from './context.ts'
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
      const context = new Context(this.#io, command)
      try {
        this.exitCode = (await run(context, options, ...(all.slice(0, -2) as Args))) ?? 0
      } catch (error) {
        throw withServer(error, context)
      }
    }
  }
}

/** Where a folder cannot be used, and a server can be asked the same: how. */
function withServer(error: unknown, { command, data, io, url }: Context): unknown {
  const takesServer = command.options.some(({ long }) => long === '--server')
  const isGiven = command.opts<{ server?: string }>().server !== undefined
  if (!takesServer || isGiven || !hasCode(error, 'locked', 'not_initialised', 'not_found')) return error
  if (!hasCode(error, 'locked') && existsSync(join(data, 'stele.json'))) return error
  const words = [...rawArgs(command), '--server', serverOfLog(url)]
  const how = `${io.calledAs} ${words.map(quoted).join(' ')}`
  const message = `${error.message}\n  A running server is asked with a key in STELE_API_KEY or --api-key-file:\n  ${how}`
  return new SteleError(error.code, message, { cause: error })
}

/** The command line as it was written. */
function rawArgs(command: Command): readonly string[] {
  let root = command
  while (root.parent) root = root.parent
  return (root as Command & { readonly rawArgs: readonly string[] }).rawArgs
}

function quoted(word: string): string {
  return /^[\w./:=@+-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}
