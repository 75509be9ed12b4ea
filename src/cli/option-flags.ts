import { Option, type Command } from 'commander'
import type { OptionInfo, OptionSources } from '../config/options.ts'
import type { Context } from './context.ts'

/** The option of commands that make logs. */
export const PUBLIC_URL = [
  '--public-url <url>',
  'where others reach this server; --url means the same here',
] as const

/** What new logs are anyway: scripts of before still say it. */
export const PRIVATE = new Option('--private').conflicts('public').hideHelp()

/** An option table, as far as flags are made of it. */
export interface FlagOptions {
  readonly list: readonly OptionInfo[]
  variableOf(name: string): string
}

/** Every option of a table as a flag, and the file that may have them too. The folder is a flag of all commands. */
export function addOptionFlags(command: Command, options: FlagOptions): void {
  command.option('--config <file>', 'YAML file with any of the options below')
  for (const { name, description, fallback } of options.list) {
    if (name === 'data') continue
    // A switch needs no value; "--open=false" overrides the file.
    const value = fallback === 'false' ? '[value]' : '<value>'
    command.option(`--${name} ${value}`, `${description} (${options.variableOf(name)}, default ${fallback})`)
  }
}

/** What was said where about the options of a table. @param overrides flags that this command settles itself */
export function optionSources<Name extends string>(
  { command, io }: Context,
  options: readonly OptionInfo<Name>[],
  overrides: Partial<Record<Name, unknown>> = {},
): OptionSources {
  const all = command.optsWithGlobals<Record<string, unknown>>()
  const flags = Object.fromEntries(options.map(({ name }) => [name, all[camelCase(name)]]))
  return { flags: { ...flags, ...overrides }, env: io.env, file: all['config'] as string | undefined }
}

/** An option's name as commander keeps it. */
function camelCase(name: string): string {
  return name.replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase())
}
