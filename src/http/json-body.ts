import type * as z from 'zod'
import { SteleError } from '../errors.ts'
import type { BodyReader } from './body.ts'
import type { Call } from './route.ts'

/**
 * Reads a small JSON body. An empty one stands for `{}`, so that a `POST` without options needs no body.
 *
 * @throws SteleError `malformed`, naming the field; whatever reading a body throws
 */
export async function readJson<S extends z.ZodType>(
  bodies: BodyReader,
  { req, res, caller: { share } }: Call<unknown, unknown>,
  schema: S,
  maxBytes = 16 * 1024,
): Promise<z.output<S>> {
  const bytes = await bodies.read({ req, res, share, maxBytes, what: 'body' })
  const parsed = schema.safeParse(valueOf(bytes))
  if (parsed.success) return parsed.data
  throw new SteleError('malformed', `body: ${faultOf(parsed.error)}`)
}

/** What is wrong with a value. Names of fields that nobody asked for are the caller's own words, as values are. */
function faultOf({ issues: [issue] }: z.ZodError): string {
  const where = issue!.path.length === 0 ? '' : `${issue!.path.join('.')}: `
  if (issue!.code !== 'unrecognized_keys') return `${where}${issue!.message}`
  return `${where}expected no fields but those that /docs lists, got ${issue.keys.length} more`
}

function valueOf(bytes: Uint8Array): unknown {
  if (bytes.length === 0) return {}
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    // Its message quotes the body, which may hold a secret, and what is answered here is also logged.
    const at = / at position [0-9]+/.exec((error as Error).message)?.[0] ?? ''
    throw new SteleError('malformed', `body: expected JSON in UTF-8, and it is none${at}`)
  }
}
