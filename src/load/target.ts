import { SteleError } from '../errors.ts'

/** How the load generator reaches a log. */
export interface Target {
  readonly host: string
  readonly port: number
  /** The value of the Host header. */
  readonly authority: string
  /** Path of the log, ending with a slash. */
  readonly prefix: string
  /** Sent with every request. */
  readonly apiKey?: string | undefined
}

/** @throws SteleError `usage` unless the scheme is http: the generator uses plain sockets */
export function parseTarget(url: string, apiKey?: string): Target {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (parsed?.protocol !== 'http:') {
    throw new SteleError(
      'usage',
      `bench: expected an http:// URL, got "${url}"; the generator does not speak TLS`,
    )
  }
  const { hostname, port, host, pathname } = parsed
  return {
    host: hostname.replaceAll(/^\[|\]$/g, ''),
    port: port === '' ? 80 : Number(port),
    authority: host,
    prefix: pathname.endsWith('/') ? pathname : `${pathname}/`,
    apiKey,
  }
}

/** The head of a request, ready to send. */
export function requestHead(
  target: Target,
  method: 'GET' | 'POST',
  path: string,
  body?: { readonly type: string; readonly length: number },
): Buffer {
  const lines = [`${method} ${target.prefix}${path} HTTP/1.1`, `Host: ${target.authority}`]
  if (target.apiKey !== undefined) lines.push(`Authorization: Bearer ${target.apiKey}`)
  if (body) lines.push(`Content-Type: ${body.type}`, `Content-Length: ${body.length}`)
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
}
