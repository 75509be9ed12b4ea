import * as z from 'zod'
import { parseSize } from '../bytes/decimal.ts'
import { excerpt } from '../bytes/excerpt.ts'
import { parseHex } from '../bytes/hex.ts'
import { parseBase64 } from '../bytes/base64.ts'
import { SteleError } from '../errors.ts'
import { asHash } from '../merkle/hash.ts'

/** Schemas of parameters. They parse text and provide the API's description. */

/** An index or size in decimal, 0 to 2^53-1. Errors are those of `parseSize`. */
export function sizeParam(name: string, description: string) {
  return z
    .string()
    .transform((value) => parseSize(value, `parameter ${name}`))
    .meta({ description, override: { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER } })
}

/** A hash of 32 bytes in lower-case hex. */
export function hexHashParam(name: string, description: string) {
  const what = `parameter ${name}`
  return z
    .string()
    .transform((value) => asHash(parseHex(value, what), what))
    .meta({ description, override: { type: 'string', pattern: '^[0-9a-f]{64}$' } })
}

/** A hash of 32 bytes in base64. An unescaped "+" arrives as a space and is accepted. */
export function base64HashParam(name: string, description: string) {
  const what = `parameter ${name}`
  return z
    .string()
    .transform((value) => asHash(parseBase64(value.replaceAll(' ', '+'), what), what))
    .meta({ description, override: { type: 'string', pattern: '^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$' } })
}

/**
 * Whole seconds, cut to the longest wait allowed.
 *
 * @returns milliseconds
 */
export function timeoutParam(maxMs: number, defaultSeconds: number) {
  return sizeParam('timeout', `Longest wait in seconds, limited to ${Math.floor(maxMs / 1000)}.`)
    .default(defaultSeconds)
    .transform((seconds) => Math.min(seconds * 1000, maxMs))
    .meta({ override: { type: 'integer', minimum: 0, default: defaultSeconds } })
}

/**
 * Parses the parameters of a query.
 *
 * @param search the text after the "?"
 * @param names in a strict schema, the only names allowed: ignoring a misspelt parameter would break a promise
 * @throws SteleError `malformed` for a parameter that is missing, unknown, repeated or not of its form; `out_of_range`
 */
export function parseQuery<S extends z.ZodType>(
  schema: S,
  search: string,
  known: ReadonlySet<string>,
): z.output<S> {
  const values: Record<string, string> = {}
  if (search !== '') {
    for (const [name, value] of new URLSearchParams(search)) {
      // A repeated parameter is refused only if the route reads it.
      if (known.has(name) && Object.hasOwn(values, name)) {
        throw new SteleError('malformed', `parameter ${name}: expected once, came repeatedly`)
      }
      values[name] = value
    }
  }
  return parseParams(schema, values)
}

/**
 * Parses parameters that were already separated.
 *
 * @throws SteleError `malformed`, `out_of_range`
 */
export function parseParams<S extends z.ZodType>(
  schema: S,
  values: Readonly<Record<string, string>>,
): z.output<S> {
  const parsed = schema.safeParse(values)
  if (parsed.success) return parsed.data
  throw new SteleError('malformed', describe(parsed.error.issues[0]!, values))
}

function describe(issue: z.core.$ZodIssue, values: Readonly<Record<string, string>>): string {
  const name = String(issue.path[0] ?? '')
  const came = values[name]
  if (issue.code === 'unrecognized_keys') return `parameter ${excerpt(issue.keys[0] ?? '')}: unknown here`
  if (name === '') return issue.message
  if (came === undefined) return `parameter ${name}: expected, and missing`
  if (issue.code === 'invalid_value') {
    return `parameter ${name}: expected ${issue.values.join(' or ')}, got ${excerpt(came)}`
  }
  return `parameter ${name}: ${issue.message}, got ${excerpt(came)}`
}
