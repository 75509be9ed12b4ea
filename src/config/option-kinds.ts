import { z } from 'zod'

/** What the loader knows about an option beside its schema. */
export interface OptionFacts {
  /** Completes "expected …, got …". */
  readonly expected?: string
  /** Never shown, not even in the message that refuses its value. */
  readonly secret?: boolean
  /** A list or a map. It can only be set in the file: a flag or a variable cannot hold one. */
  readonly section?: boolean
}

const facts = z.registry<OptionFacts>()

const MIB = 1024 * 1024

/** What is known about an option beside its schema. */
export function factsOf(schema: z.ZodType): OptionFacts {
  return facts.get(schema) ?? {}
}

/** A number as YAML reads it, or text in plain decimal. `Number()` would accept "" as 0 and "0x10" as 16. */
export function number(
  schema: z.ZodNumber,
  fallback: number,
  expected: string,
): z.ZodDefault<z.ZodType<number>> {
  const read = z.preprocess(
    (value) => (typeof value === 'string' && /^[0-9]+(\.[0-9]+)?$/.test(value) ? Number(value) : value),
    schema,
  )
  return withFacts(read.default(fallback), { expected })
}

/** A whole number of `least` to `most`. */
export function whole(fallback: number, least: number, most: number): z.ZodDefault<z.ZodType<number>> {
  return number(z.int().min(least).max(most), fallback, `a whole number of ${least} to ${most}`)
}

/** A number of bytes, from 1 to 4 GiB. */
export function bytes(fallback: number): z.ZodDefault<z.ZodType<number>> {
  return whole(fallback, 1, 4096 * MIB)
}

/** A count, from one to ten million. */
export function count(fallback: number): z.ZodDefault<z.ZodType<number>> {
  return whole(fallback, 1, 10_000_000)
}

/** A time in seconds, of up to a day; fractions are allowed. */
export function seconds(fallback: number): z.ZodDefault<z.ZodType<number>> {
  const expected = 'a number of seconds, more than 0 and at most 86400'
  return number(z.number().positive().max(86_400), fallback, expected)
}

/** A non-empty text. */
export function words(fallback: string): z.ZodDefault<z.ZodString> {
  return withFacts(z.string().min(1).default(fallback), { expected: 'a text' })
}

/** A host name or an address to listen on. An IPv6 address may be in brackets, as in a URL. */
export function hostName(fallback: string): z.ZodDefault<z.ZodType<string>> {
  const read = z.preprocess(
    (value) => (typeof value === 'string' ? value.replace(/^\[(.*:.*)\]$/, '$1') : value),
    z.string().min(1),
  )
  return withFacts(read.default(fallback), { expected: 'a text' })
}

/** A text that may be empty. */
export function anyText(fallback: string): z.ZodDefault<z.ZodString> {
  return withFacts(z.string().default(fallback), { expected: 'a text' })
}

/** True or false, as YAML reads them or as text. */
export function flag(fallback: boolean): z.ZodDefault<z.ZodType<boolean>> {
  const read = z.preprocess(
    (value) => (value === 'true' ? true : value === 'false' ? false : value),
    z.boolean(),
  )
  return withFacts(read.default(fallback), { expected: 'true or false' })
}

/** One word from a list. */
export function oneOf<const Words extends readonly [string, ...string[]]>(
  choices: Words,
  fallback: Words[number],
): z.ZodDefault<z.ZodType<Words[number]>> {
  const schema: z.ZodType<Words[number]> = z.enum(choices)
  return withFacts(schema.default(fallback as never), { expected: choices.join(', ') })
}

/** A list or a map, set in the file only. Its schema has a default, so that the file may leave it out. */
export function section<S extends z.ZodType>(schema: S): S {
  return withFacts(schema, { section: true })
}

/** An option whose value is never shown. */
export function secret<S extends z.ZodType>(schema: S): S {
  return withFacts(schema, { ...factsOf(schema), secret: true })
}

function withFacts<S extends z.ZodType>(schema: S, known: OptionFacts): S {
  facts.add(schema, known)
  return schema
}
