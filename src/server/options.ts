import { z } from 'zod'
import { SteleError } from '../errors.ts'

/** A number as it is, or as text in plain decimal: Number("") is 0 and Number("0x10") is 16. */
export const number = (schema: z.ZodNumber, fallback: number): z.ZodDefault<z.ZodType<number>> =>
  z
    .preprocess(
      (value) => (typeof value === 'string' && /^[0-9]+(\.[0-9]+)?$/.test(value) ? Number(value) : value),
      schema,
    )
    .default(fallback)

/** A number of things, at least 1. */
export const count = (fallback: number): z.ZodDefault<z.ZodType<number>> =>
  number(z.int().min(1).max(10_000_000), fallback)
/** A time in seconds, whose default is in milliseconds. */
export const seconds = (fallbackMs: number): z.ZodDefault<z.ZodType<number>> =>
  number(z.number().positive().max(86_400), fallbackMs / 1000)

/** An option as people read of it. */
export interface DescribedOption<Name extends string> {
  readonly name: Name
  readonly description: string
  readonly fallback: string
}

/** Names, meanings and defaults, for `--help` and for the documentation. */
export function describeOptions<Name extends string>(
  options: Readonly<Record<Name, z.ZodDefault<z.ZodType>>>,
): readonly DescribedOption<Name>[] {
  return (Object.entries(options) as [Name, z.ZodDefault<z.ZodType>][]).map(([name, schema]) => ({
    name,
    description: schema.description ?? '',
    fallback: String(schema.parse(undefined)),
  }))
}

/** The environment variable of an option. */
export function variableOf(prefix: string, name: string): string {
  return `${prefix}${name.toUpperCase().replaceAll('-', '_')}`
}

/** Where options come from. */
export interface OptionSources {
  readonly flags?: Readonly<Record<string, unknown>>
  readonly env?: Readonly<Record<string, string | undefined>>
}

/**
 * Puts flags over environment, and checks the whole before anything is opened.
 *
 * @param prefix what the names of variables begin with
 * @throws SteleError `usage`, with every mistake at once under the name that the operator wrote
 */
export function loadOptions<T extends object>(
  prefix: string,
  schema: z.ZodType<T>,
  options: readonly DescribedOption<string>[],
  { flags = {}, env = {} }: OptionSources,
): Readonly<T> {
  const merged: Record<string, unknown> = {}
  const writtenAs: Record<string, string> = {}
  for (const { name } of options) {
    const variable = variableOf(prefix, name)
    const [flag, value] = [flags[name], env[variable] || undefined]
    if (flag === undefined && value === undefined) continue
    merged[name] = flag ?? value
    writtenAs[name] = flag === undefined ? variable : `--${name}`
  }
  const parsed = schema.safeParse(merged)
  if (parsed.success) return Object.freeze(parsed.data)
  const mistakes = parsed.error.issues.map(({ path, message }) => {
    const name = String(path[0])
    return `${writtenAs[name] ?? name}: ${message}`
  })
  throw new SteleError('usage', `configuration:\n  ${mistakes.join('\n  ')}`)
}
