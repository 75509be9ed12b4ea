import type { Hash } from '../merkle/hash.ts'

/**
 * The quality value that a caller gives a media type or encoding (RFC 9110 section 12.5).
 *
 * @param header `Accept` or `Accept-Encoding`
 * @param names the names that match, most specific first: a media type, then its ranges
 * @returns 0 to 1; undefined when the header names none of them
 */
function qualityOf(header: string | undefined, names: readonly string[]): number | undefined {
  if (header === undefined) return undefined
  const qualities = new Map(header.split(',').map(parseItem))
  const name = names.find((candidate) => qualities.has(candidate))
  return name === undefined ? undefined : qualities.get(name)
}

/** True when the caller prefers the second media type to the first, which is the default. */
export function prefersOver(accept: string | undefined, standard: string, other: string): boolean {
  if (accept === undefined || accept === '*/*') return false
  return (qualityOf(accept, rangesOf(other)) ?? 0) > (qualityOf(accept, rangesOf(standard)) ?? 0)
}

/** True when the caller accepts gzip. */
export function acceptsGzip(acceptEncoding: string | undefined): boolean {
  return (qualityOf(acceptEncoding, ['gzip', 'x-gzip', '*']) ?? 0) > 0
}

function rangesOf(mediaType: string): string[] {
  return [mediaType, `${mediaType.slice(0, mediaType.indexOf('/'))}/*`, '*/*']
}

function parseItem(item: string): [name: string, quality: number] {
  const [name, ...parameters] = item.toLowerCase().split(';')
  const weight = parameters
    .map((parameter) => /^\s*q=([01](?:\.\d{0,3})?)\s*$/.exec(parameter)?.[1])
    .find(Boolean)
  return [name!.trim(), weight === undefined ? 1 : Math.min(1, Number(weight))]
}

/*
 * The platform's encoders, with the same output as bytes/hex.ts and bytes/base64.ts. A proof has twenty hashes and a
 * page a thousand entries; the portable loops would cost more than all other work on these requests.
 */

/** Lower-case hex. */
export function hexOf(bytes: Uint8Array): string {
  return viewOf(bytes).toString('hex')
}

/** Standard base64 with padding. */
export function base64Of(bytes: Uint8Array): string {
  return viewOf(bytes).toString('base64')
}

/** A proof's path for native JSON. */
export function hexPath(path: readonly Hash[]): string[] {
  return path.map(hexOf)
}

/** A proof's path for the JSON of RFC 6962; an empty path is `[]`, never `null`. */
export function base64Path(path: readonly Hash[]): string[] {
  return path.map(base64Of)
}

function viewOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
}
