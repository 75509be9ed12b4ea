import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type Command, Option } from 'commander'
import type { OptionInfo, OptionSources } from '../config/options.ts'
import { hasCode, SteleError } from '../errors.ts'
import { Context, serverOfLog } from './context.ts'
import type { Io } from './io.ts'

/** Runs the commands of one program. Owns the exit code. */
export class Actions {
  readonly #io: Io
  exitCode = 0

  constructor(io: Io) {
    this.#io = io
  }

  /**
   * Wraps a function as a commander action.
   *
   * @param run gets the context, the options of its command, and its arguments. It may return an exit code; the default
   *   is 0.
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

/** If a folder cannot be used and the command has --server, adds how to ask a running server. */
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

/** The command line as typed. */
function rawArgs(command: Command): readonly string[] {
  let root = command
  while (root.parent) root = root.parent
  return (root as Command & { readonly rawArgs: readonly string[] }).rawArgs
}

function quoted(word: string): string {
  return /^[\w./:=@+-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}

/** The option of commands that create logs. */
export const PUBLIC_URL = [
  '--public-url <url>',
  'URL at which clients reach this server; --url means the same here',
] as const

/** Formerly an option, now the default; still accepted for old scripts. */
export const PRIVATE = new Option('--private').conflicts('public').hideHelp()

/** The part of an option table that flags are made from. */
export interface FlagOptions {
  readonly list: readonly OptionInfo[]
  variableOf(name: string): string
}

/** Adds every option of a table as a flag, and --config. The data folder is a flag of all commands. */
export function addOptionFlags(command: Command, options: FlagOptions): void {
  command.option('--config <file>', 'YAML file with any of the options below')
  for (const { name, description, fallback } of options.list) {
    if (name === 'data') continue
    // A switch needs no value; "--open=false" overrides the file.
    const value = fallback === 'false' ? '[value]' : '<value>'
    command.option(`--${name} ${value}`, `${description} (${options.variableOf(name)}, default ${fallback})`)
  }
}

/**
 * The values of the options of a table, and where each came from. @param overrides flags that this command sets itself
 */
export function optionSources<Name extends string>(
  { command, io }: Context,
  options: readonly OptionInfo<Name>[],
  overrides: Partial<Record<Name, unknown>> = {},
): OptionSources {
  const all = command.optsWithGlobals<Record<string, unknown>>()
  const flags = Object.fromEntries(options.map(({ name }) => [name, all[camelCase(name)]]))
  return { flags: { ...flags, ...overrides }, env: io.env, file: all['config'] as string | undefined }
}

/** An option's name in commander's camel case. */
function camelCase(name: string): string {
  return name.replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase())
}

/** The examples at the end of a command's `--help`: each a command line and what it does. */
export function examples(...lines: readonly (readonly [string, string])[]): string {
  return `\nExamples:\n${lines.map(([command, meaning]) => `  $ ${command}\n      ${meaning}`).join('\n')}\n`
}
