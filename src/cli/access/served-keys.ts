import * as z from 'zod'
import { keyRecordSchema, type KeyInfo } from '../../access/key-record.ts'
import type { MadeKey, NewKey } from '../../access/keyring.ts'
import { encodeUtf8 } from '../../bytes/text.ts'
import { Transport } from '../../client/transport.ts'
import { SteleError } from '../../errors.ts'

const MAX_ANSWER_BYTES = 16 * 1024 * 1024
const Info = keyRecordSchema.omit({ hash: true }).extend({ state: z.enum(['valid', 'expired', 'revoked']) })
const Made = z.object({ key: z.string(), info: Info })
const List = z.object({ keys: z.array(Info) })

/** The keys of a running server, as far as the credentials reach. */
export function servedKeys(
  server: string,
  headers: Readonly<Record<string, string>>,
): {
  create(wanted: NewKey): Promise<MadeKey>
  list(): Promise<readonly KeyInfo[]>
  rotate(id: string, overlapSeconds: number): Promise<MadeKey>
  revoke(id: string): Promise<KeyInfo>
} {
  const transport = new Transport({ headers })
  const base = `${server.replace(/\/+$/, '')}/v1/keys`
  const post = async <S extends z.ZodType>(path: string, body: object, schema: S): Promise<z.output<S>> => {
    const answer = await transport.ask(base + path, {
      method: 'POST',
      body: encodeUtf8(JSON.stringify(body)),
      expect: [200, 201],
      maxBytes: MAX_ANSWER_BYTES,
    })
    return parsed(schema, answer.body, base + path)
  }
  return {
    create: (wanted) => post('', wanted, Made),
    async list() {
      const { body } = await transport.ask(base, { maxBytes: MAX_ANSWER_BYTES, fresh: true })
      return parsed(List, body, base).keys
    },
    rotate: (id, overlapSeconds) => post(`/${encodeURIComponent(id)}/rotate`, { overlapSeconds }, Made),
    revoke: (id) => post(`/${encodeURIComponent(id)}/revoke`, {}, Info),
  }
}

function parsed<S extends z.ZodType>(schema: S, body: Uint8Array, where: string): z.output<S> {
  try {
    return schema.parse(JSON.parse(new TextDecoder().decode(body)))
  } catch (error) {
    throw new SteleError('unexpected_answer', `${where}: expected an answer about API keys`, { cause: error })
  }
}
