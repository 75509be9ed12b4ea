import { z } from 'zod'
import { excerpt } from '../bytes/excerpt.ts'
import { SteleError } from '../errors.ts'
import { type ConfigFile, nearest, readConfigFile } from './config-file.ts'
import { factsOf } from './option-kinds.ts'

/** Option schemas by name, each with a default and a description. */
export type OptionShape = Readonly<Record<string, z.ZodType>>
/** The values of a set of options: complete, checked, frozen. */
export type OptionValues<S extends OptionShape> = { readonly [Name in keyof S]: z.output<S[Name]> }

/** One option, for `--help` and for the documentation. */
export interface OptionInfo<Name extends string = string> {
  readonly name: Name
  readonly description: string
  /** The default, as the documentation writes it. */
  readonly fallback: string
}

/** A condition between options. It is checked if all of its options could be read. */
export interface Rule<S extends OptionShape> {
  /** The mistake is reported under the first of these names. */
  readonly options: readonly [keyof S & string, ...(keyof S & string)[]]
  readonly holds: (values: OptionValues<S>) => boolean
  readonly expected: string
}

/** What was said about options, and where. Flags win over the environment, and that over the file. */
export interface OptionSources {
  /** What a program said, by option name; undefined for what it did not say. Mistakes name the option as it is. */
  readonly values?: Readonly<Record<string, unknown>>
  /** What the command line said, by option name; undefined for what it did not say. */
  readonly flags?: Readonly<Record<string, unknown>>
  /** The environment. A variable with an empty value counts as not set; a variable of no option is ignored. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Path of a YAML file. */
  readonly file?: string | undefined
}

/** Where a value came from, and under which name: `stele.yaml:12`, `STELE_PORT`, `--port`, `port`, `default`. */
export interface Origin {
  readonly kind: 'file' | 'variable' | 'flag' | 'program' | 'default'
  readonly written: string
}

/** The values of all options, and where each came from. */
export interface Resolved<S extends OptionShape> {
  readonly values: OptionValues<S>
  readonly origins: Readonly<Record<keyof S & string, Origin>>
}

interface Written {
  readonly value: unknown
  readonly origin: Origin
  /** The place of a mistake: of the whole value, or of a nested part. */
  readonly at: (path: readonly PropertyKey[]) => string
}

/**
 * A table of options, and how it is read. Flags override the environment, which overrides the file, which overrides the
 * defaults. All values are checked before anything is opened, and all mistakes are reported together.
 */
export class OptionTable<S extends OptionShape> {
  readonly shape: S
  /** Options that flags and variables can set. */
  readonly list: readonly OptionInfo<keyof S & string>[]
  /** Lists and maps, which only the file can set. */
  readonly sections: readonly (keyof S & string)[]
  readonly #prefix: string
  readonly #rules: readonly Rule<S>[]

  /** @param prefix of the environment variables, for example `STELE` */
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

  variableOf(name: keyof S & string): string {
    return `${this.#prefix}_${name.toUpperCase().replaceAll('-', '_')}`
  }

  /** @throws SteleError `usage`, with all mistakes, each under the name that the operator wrote; `io_error` */
  load(sources: OptionSources): OptionValues<S> {
    return this.resolve(sources).values
  }

  /** As `load`, with where each value came from. */
  resolve({ values = {}, flags = {}, env = {}, file }: OptionSources): Resolved<S> {
    const mistakes: string[] = []
    const written = new Map<string, Written>()
    if (file !== undefined) this.#readFile(readConfigFile(file), written, mistakes)
    for (const { name } of this.list) {
      const variable = this.variableOf(name)
      if (env[variable]) written.set(name, plainly(env[variable], 'variable', variable))
    }
    this.#readValues(flags, { kind: 'flag', before: '--' }, written, mistakes)
    this.#readValues(values, { kind: 'program', before: '' }, written, mistakes)
    return this.#check(written, mistakes)
  }

  #readValues(
    values: Readonly<Record<string, unknown>>,
    { kind, before }: { readonly kind: Origin['kind']; readonly before: string },
    written: Map<string, Written>,
    mistakes: string[],
  ): void {
    for (const [name, value] of Object.entries(values)) {
      if (value === undefined) continue
      if (Object.hasOwn(this.shape, name)) written.set(name, plainly(value, kind, `${before}${name}`))
      else mistakes.push(`${before}${name}: ${this.#noSuch(name)}`)
    }
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

/** The mistakes in the value of one option. */
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

/** Zod's message in the wording of the other messages. */
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
 * @param title title of the schema
 */
export function optionsSchema<S extends OptionShape>(table: OptionTable<S>, title: string): object {
  const properties = Object.entries(table.shape).map(([name, schema]) => {
    // For plain options the file takes the parsed type. For a section it takes the type before parsing.
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
 * A sample file: every plain option at its default, below its description.
 *
 * @param schema path of the schema from the file's folder, for editors
 */
export function sampleFile<S extends OptionShape>(table: OptionTable<S>, schema: string): string {
  const options = table.list.map(
    ({ name, description, fallback }) =>
      `\n# ${description}\n${name}: ${fallback === '' ? "''" : fallback}\n`,
  )
  return [`# yaml-language-server: $schema=${schema}\n`, ...options].join('')
}
