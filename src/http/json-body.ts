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
  maxBytes: number,
): Promise<z.output<S>> {
  const bytes = await bodies.read({ req, res, share, maxBytes, what: 'body' })
  const parsed = schema.safeParse(valueOf(bytes))
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  const where = issue!.path.join('.')
  throw new SteleError('malformed', `body: ${where === '' ? '' : `${where}: `}${issue!.message}`)
}

function valueOf(bytes: Uint8Array): unknown {
  if (bytes.length === 0) return {}
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    throw new SteleError('malformed', `body: expected JSON in UTF-8: ${(error as Error).message}`)
  }
}
