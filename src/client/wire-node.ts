import * as http from 'node:http'
import * as https from 'node:https'
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { SteleError } from '../errors.ts'
import { reasonOf } from './clock.ts'
import { isRedirection, type Outgoing, type Received, type Wire } from './wire.ts'

/** `gzip` where a connection is dearer than processor time, `identity` where it is the other way round. */
export type Encoding = 'gzip' | 'identity'

const inflate = promisify(gunzip)
// A bundle is inflated in one or two steps: zlib's 16 KiB make ten of it, each with a buffer of its own.
const INFLATED_STEP_BYTES = 128 * 1024

/**
 * The same request as with `fetch`, through node:http, for reading a whole log: `fetch` spends more on streams and
 * signals for 256 entries than hashing them takes. Connections come from the platform's pool and are kept open.
 *
 * @param encoding the requested encoding; an answer in either of the two is accepted
 */
export function nodeWire(encoding: Encoding = 'gzip'): Wire {
  const accepted = encoding === 'gzip' ? 'gzip, identity' : 'identity'
  return async (url, request) => {
    const { method, headers, fresh } = request
    const answer = await exchange(url, request, {
      method,
      headers: {
        'user-agent': 'stele',
        'accept-encoding': accepted,
        ...(fresh ? { 'cache-control': 'no-cache', pragma: 'no-cache' } : {}),
        ...headers,
      },
    })
    if (!isRedirection(answer.status)) return decoded(url, request, answer)
    return { ...answer, redirects: 'shown' }
  }
}

/** The answer as it is on the wire. */
function exchange(url: string, asked: Outgoing, options: http.RequestOptions): Promise<Received> {
  const { body, signal, limit } = asked
  return new Promise((resolve, reject) => {
    const { request } = url.startsWith('https:') ? https : http
    const sent = request(url, options)
    const stop = (): void => void sent.destroy(reasonOf(signal))
    let answered = false
    sent.once('response', (response) => {
      answered = true
      received(response, limit).then(resolve, reject)
    })
    // Both listeners stay: a destroyed request may emit another error, and an error without a listener ends the
    // process.
    sent.on('error', reject)
    sent.once('close', () => {
      signal.removeEventListener('abort', stop)
      if (!answered) reject(new Error('the connection ended without an answer'))
    })
    signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted) stop()
    sent.end(body)
  })
}

async function received(response: http.IncomingMessage, limit: Outgoing['limit']): Promise<Received> {
  const status = response.statusCode!
  const most = limit(status)
  // What cannot be compressed grows a little when one tries.
  const isPlain = response.headers['content-encoding'] === undefined
  const body = await readUpTo(response, isPlain ? most : most + Math.ceil(most / 1000) + 100)
  return { status, headers: new Headers(pairsOf(response.rawHeaders)), body }
}

/** At most `limit` bytes of a body; the connection is given up for what lies beyond. */
function readUpTo(response: http.IncomingMessage, limit: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const parts: Uint8Array[] = []
    let length = 0
    response.on('data', (part: Uint8Array) => {
      parts.push(part)
      length += part.length
      if (length < limit) return
      resolve(Buffer.concat(parts).subarray(0, limit))
      response.destroy()
    })
    response.once('end', () => resolve(Buffer.concat(parts)))
    response.on('error', reject)
    // After the end or an error it changes nothing.
    response.once('close', () => reject(new Error('the connection ended before the answer did')))
  })
}

async function decoded(url: string, { method, limit }: Outgoing, answer: Received): Promise<Received> {
  const { status, headers, body } = answer
  const encoding = headers.get('content-encoding')?.trim().toLowerCase() ?? 'identity'
  if (encoding === 'identity' || encoding === '' || body.length === 0) return answer
  if (encoding !== 'gzip' && encoding !== 'x-gzip') {
    throw new SteleError(
      'unexpected_answer',
      `${method} ${url}: the content encoding "${encoding.slice(0, 40)}"`,
    )
  }
  const most = limit(status)
  try {
    // On a thread of zlib's, while this one hashes. The bound holds for what comes out: a few bytes can inflate to gigabytes.
    const bytes = await inflate(body, { maxOutputLength: most, chunkSize: INFLATED_STEP_BYTES })
    return { status, headers, body: bytes }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_BUFFER_TOO_LARGE') throw error
    throw new SteleError('unexpected_answer', `${method} ${url}: inflates to ${most} bytes or more`)
  }
}

function pairsOf(raw: readonly string[]): [string, string][] {
  const pairs: [string, string][] = []
  for (let i = 0; i + 1 < raw.length; i += 2) pairs.push([raw[i]!, raw[i + 1]!])
  return pairs
}
