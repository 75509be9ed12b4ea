import { z } from 'zod'
import { excerpt } from '../bytes/excerpt.ts'
import { SteleError } from '../errors.ts'
import { type ConfigFile, nearest, readConfigFile } from './config-file.ts'
import { factsOf } from './option-kinds.ts'

/** Options by name, each with a default and a description. */
export type OptionShape = Readonly<Record<string, z.ZodType>>
/** What a shape gives: complete, checked, frozen. */
export type OptionValues<S extends OptionShape> = { readonly [Name in keyof S]: z.output<S[Name]> }

/** One option, for `--help` and for the documentation. */
export interface OptionInfo<Name extends string = string> {
  readonly name: Name
  readonly description: string
  /** The default, as the documentation writes it. */
  readonly fallback: string
}

/** What must hold between options. It is looked at when all that it speaks of could be read. */
export interface Rule<S extends OptionShape> {
  /** The first one is the one that is named. */
  readonly options: readonly [keyof S & string, ...(keyof S & string)[]]
  readonly holds: (values: OptionValues<S>) => boolean
  readonly expected: string
}

export interface OptionSources {
  /** What the command line said, by option name; undefined for what it did not say. */
  readonly flags?: Readonly<Record<string, unknown>>
  /** The environment. A variable that is set to nothing counts as not set, one that names no option is left alone. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Path of a YAML file. */
  readonly file?: string | undefined
}

/** Where a value came from, and under which name: `stele.yaml:12`, `STELE_PORT`, `--port`, `default`. */
export interface Origin {
  readonly kind: 'file' | 'variable' | 'flag' | 'default'
  readonly written: string
}

/** Values, and where each one came from. */
export interface Resolved<S extends OptionShape> {
  readonly values: OptionValues<S>
  readonly origins: Readonly<Record<keyof S & string, Origin>>
}

interface Written {
  readonly value: unknown
  readonly origin: Origin
  /** Names the place of a mistake: of the whole value, or of something deep in it. */
  readonly at: (path: readonly PropertyKey[]) => string
}

/**
 * A table of options and the way to read it: flags over environment over file over defaults, everything checked before
 * anything is opened, and all mistakes reported together.
 */
export class OptionTable<S extends OptionShape> {
  readonly shape: S
  /** What flags and variables can say. */
  readonly list: readonly OptionInfo<keyof S & string>[]
  /** Lists and maps, which only the file can say. */
  readonly sections: readonly (keyof S & string)[]
  readonly #prefix: string
  readonly #rules: readonly Rule<S>[]

  /** @param prefix of the environment variables, such as `STELE` */
  constructor(prefix: string, shape: S, rules: readonly Rule<S>[] = []) {
    this.shape = shape
    this.#prefix = prefix
    this.#rules = rules
    const names = Object.keys(shape) as (keyof S & string)[]
    this.sections = names.filter((name) => factsOf(shape[name]!).section)
    this.list = names
      .filter((name) => !this.sections.includes(name))
      .map((name) => ({
        name,
        description: shape[name]!.description ?? '',
        fallback: String(shape[name]!.parse(undefined)),
      }))
  }

  /** The environment variable of an option. */
  variableOf(name: keyof S & string): string {
    return `${this.#prefix}_${name.toUpperCase().replaceAll('-', '_')}`
  }

  /** @throws SteleError `usage`, with every mistake at once under the name that was written; `io_error` */
  load(sources: OptionSources): OptionValues<S> {
    return this.resolve(sources).values
  }

  /** As `load`, with where each value came from. */
  resolve({ flags = {}, env = {}, file }: OptionSources): Resolved<S> {
    const mistakes: string[] = []
    const written = new Map<string, Written>()
    if (file !== undefined) this.#readFile(readConfigFile(file), written, mistakes)
    for (const { name } of this.list) {
      const variable = this.variableOf(name)
      if (env[variable]) written.set(name, plainly(env[variable], 'variable', variable))
    }
    for (const [name, value] of Object.entries(flags)) {
      if (value === undefined) continue
      if (Object.hasOwn(this.shape, name)) written.set(name, plainly(value, 'flag', `--${name}`))
      else mistakes.push(`--${name}: ${this.#noSuch(name)}`)
    }
    return this.#check(written, mistakes)
  }

  #readFile(file: ConfigFile, written: Map<string, Written>, mistakes: string[]): void {
    mistakes.push(...file.mistakes)
    for (const [name, value] of Object.entries(file.values)) {
      if (!Object.hasOwn(this.shape, name)) {
        mistakes.push(`${file.at([name])}: ${name}: ${this.#noSuch(name)}`)
        continue
      }
      const at = (path: readonly PropertyKey[]): string =>
        `${file.at([name, ...path])}: ${name}${path.map(asStep).join('')}`
      written.set(name, { value, origin: { kind: 'file', written: file.at([name]) }, at })
    }
  }

  #check(written: ReadonlyMap<string, Written>, mistakes: string[]): Resolved<S> {
    const values: Record<string, unknown> = {}
    const origins: Record<string, Origin> = {}
    const wrong = new Set<string>()
    for (const [name, schema] of Object.entries(this.shape)) {
      const found = written.get(name)
      const parsed = schema.safeParse(found?.value)
      origins[name] = found?.origin ?? { kind: 'default', written: 'default' }
      if (parsed.success) values[name] = freeze(parsed.data)
      else {
        wrong.add(name)
        mistakes.push(
          ...mistakesOf(schema, parsed.error.issues, found ?? plainly(undefined, 'default', name)),
        )
      }
    }
    for (const { options, holds, expected } of this.#rules) {
      if (options.some((name) => wrong.has(name)) || holds(values as OptionValues<S>)) continue
      const others = options.map((name) => `${name} is ${String(values[name])}`).join(', ')
      const [name] = options
      const place = written.get(name)?.at([]) ?? name
      mistakes.push(`${place}: expected ${expected}; ${others}`)
    }
    if (mistakes.length > 0) throw new SteleError('usage', `configuration:\n  ${mistakes.join('\n  ')}`)
    return { values: Object.freeze(values) as OptionValues<S>, origins: origins as Resolved<S>['origins'] }
  }

  #noSuch(name: string): string {
    const near = nearest(name, Object.keys(this.shape))
    return `there is no such option${near === undefined ? '' : `; did you mean ${near}?`}`
  }
}

function plainly(value: unknown, kind: Origin['kind'], written: string): Written {
  return { value, origin: { kind, written }, at: () => written }
}

/** What is wrong with the value of one option. */
function mistakesOf(schema: z.ZodType, issues: readonly z.core.$ZodIssue[], found: Written): string[] {
  const { expected, secret, section } = factsOf(schema)
  if (expected !== undefined && !section) {
    const got = secret ? 'something else' : shown(found.value)
    return [`${found.at([])}: expected ${expected}, got ${got}`]
  }
  return issues.flatMap((issue) => {
    if (issue.code !== 'unrecognized_keys') return [`${found.at(issue.path)}: ${inOurWords(issue.message)}`]
    return issue.keys.map((key) => `${found.at([...issue.path, key])}: there is no such field`)
  })
}

/** Zod's words, brought into the order of ours. */
function inOurWords(message: string): string {
  return message
    .replace(/^(Invalid input|Invalid option|Too small|Too big): /, '')
    .replace(', received undefined', ', got nothing')
    .replace(', received ', ', got ')
}

function shown(value: unknown): string {
  if (value === null || value === undefined) return 'nothing'
  return typeof value === 'string' ? excerpt(value) : excerptOf(value)
}

function excerptOf(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  return Array.isArray(value) ? 'a list' : 'a map'
}

function asStep(step: PropertyKey): string {
  return typeof step === 'number' ? `[${step}]` : `.${String(step)}`
}

function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) Object.values(value).forEach(freeze)
  return Object.freeze(value)
}

/**
 * A JSON schema (2020-12) of the file of a table of options, for editors.
 *
 * @param title what the file is
 */
export function optionsSchema<S extends OptionShape>(table: OptionTable<S>, title: string): object {
  const properties = Object.entries(table.shape).map(([name, schema]) => {
    // What a plain option becomes is also how a file writes it; of a section the file has what goes in.
    const io = table.sections.includes(name) ? 'input' : 'output'
    const { $schema: _, ...described } = z.toJSONSchema(schema, { io })
    return [name, described]
  })
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title,
    type: 'object',
    additionalProperties: false,
    properties: Object.fromEntries(properties) as object,
  }
}

/**
 * A file with every plain option at its default, each under its meaning.
 *
 * @param schema where an editor finds the schema, from the file's folder
 */
export function sampleFile<S extends OptionShape>(table: OptionTable<S>, schema: string): string {
  const options = table.list.map(
    ({ name, description, fallback }) =>
      `\n# ${description}\n${name}: ${fallback === '' ? "''" : fallback}\n`,
  )
  return [`# yaml-language-server: $schema=${schema}\n`, ...options].join('')
}
