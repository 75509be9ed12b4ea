import { parseHex } from '../bytes/hex.ts'
import { decodeUtf8 } from '../bytes/text.ts'
import { hasCode, SteleError } from '../errors.ts'
import { asHash, type Hash } from '../merkle/hash.ts'

/** A log's answer to an appended entry, unverified. */
export interface EntryAnswer {
  readonly index: number
  readonly leafHash: Hash
  readonly duplicate: boolean
  /** A `.tlog-proof`, where it was asked for. */
  readonly proof: string | undefined
}

/** A log's answer to a batch. It is unverified, except that its numbers fit the batch that was sent. */
export interface BatchAnswer {
  /** The index of every entry of the batch, in its order. */
  readonly indexes: readonly number[]
  /** Which entries the log says it had already, by their place in the batch. */
  readonly duplicates: readonly number[]
  /** A checkpoint, and for each entry its inclusion proof under it, where they were asked for and it is published. */
  readonly proven: { readonly checkpoint: string; readonly paths: readonly (readonly Hash[])[] } | undefined
}

/** Most bytes in an answer to one entry: a checkpoint with many signatures, escaped as JSON, and numbers. */
export const MAX_RECEIPT_BYTES = 4 * 1024 * 1024

/** The most entries of one batch that a log proves in its answer. */
export const MAX_PROVEN_ENTRIES = 1000
/** An inclusion proof in a tree below 2^53 leaves has at most 53 hashes, each of 64 digits, quotes and a comma. */
const MAX_PATH_BYTES = 2 + 53 * 67

/** Most bytes in an answer to a batch: up to 64 for every entry that was there already, and the proofs. */
export function maxBatchAnswerBytes(entries: number, withProofs: boolean): number {
  const plain = 4096 + 64 * entries
  return withProofs ? plain + MAX_RECEIPT_BYTES + MAX_PATH_BYTES * entries : plain
}

/** @throws SteleError `unexpected_answer` */
export function parseEntryAnswer(body: Uint8Array): EntryAnswer {
  const answer = parseObject(body, 'answer to an entry')
  const proof = answer['proof']
  return {
    index: sizeIn(answer, 'index'),
    leafHash: hashIn(answer, 'leafHash'),
    duplicate: answer['duplicate'] === true,
    proof: typeof proof === 'string' ? proof : undefined,
  }
}

/**
 * @param sent number of entries in the batch
 * @throws SteleError `unexpected_answer` also if the numbers do not add up
 */
export function parseBatchAnswer(body: Uint8Array, sent: number): BatchAnswer {
  const answer = parseObject(body, 'answer to a batch')
  const begin = sizeIn(answer, 'begin')
  const fresh = sizeIn(answer, 'end') - begin
  const known = new Map(
    listIn(answer, 'duplicates').map((item) => [sizeIn(item, 'position'), sizeIn(item, 'index')]),
  )
  const duplicates = [...known.keys()].sort((a, b) => a - b)
  if (
    fresh + known.size !== sent ||
    sizeIn(answer, 'count') !== sent ||
    duplicates.some((place) => place >= sent)
  ) {
    throw unexpected(
      `answer to a batch: expected ${sent} entries, got ${fresh} new ones and ${known.size} known ones`,
    )
  }
  let next = begin
  const indexes = Array.from({ length: sent }, (_, place) => known.get(place) ?? next++)
  return { indexes, duplicates, proven: provenIn(answer, sent) }
}

function provenIn(answer: JsonObject, sent: number): BatchAnswer['proven'] {
  const { checkpoint, proofs } = answer
  if (checkpoint === undefined && proofs === undefined) return undefined
  if (typeof checkpoint !== 'string' || !Array.isArray(proofs) || proofs.length !== sent) {
    throw unexpected(`answer to a batch: expected a checkpoint and ${sent} proofs`)
  }
  return { checkpoint, paths: proofs.map((path) => pathFrom(path, 'proofs')) }
}

/** The path of a consistency proof. @throws SteleError `unexpected_answer` */
export function parseConsistencyAnswer(body: Uint8Array, where: string): Hash[] {
  return pathFrom(parseObject(body, where)['path'], `${where}: "path"`)
}

/** Where a log says that a leaf hash is. @throws SteleError `unexpected_answer` */
export function parseLeafAnswer(body: Uint8Array): number {
  return sizeIn(parseObject(body, 'answer about a leaf'), 'index')
}

/**
 * Whether the log of this origin accepts duplicates, according to the list of logs.
 *
 * @returns undefined if it is not listed
 * @throws SteleError `unexpected_answer`
 */
export function parseAllowsDuplicates(body: Uint8Array, origin: string): boolean | undefined {
  const logs = listIn(parseObject(body, 'list of logs'), 'logs')
  const allows = logs.find((log) => log['origin'] === origin)?.['allowDuplicates']
  return typeof allows === 'boolean' ? allows : undefined
}

/** Parses an answer. An unreadable answer is the log's fault; the code `malformed` would blame the caller's entry. */
export function fromLog<T>(read: () => T): T {
  try {
    return read()
  } catch (cause) {
    if (!hasCode(cause, 'malformed', 'out_of_range')) throw cause
    throw new SteleError('unexpected_answer', cause.message, { cause })
  }
}

type JsonObject = Readonly<Record<string, unknown>>

function parseObject(body: Uint8Array, what: string): JsonObject {
  try {
    return asObject(JSON.parse(decodeUtf8(body, what)), what)
  } catch (cause) {
    if (cause instanceof SteleError && cause.code !== 'malformed') throw cause
    throw new SteleError('unexpected_answer', `${what}: expected JSON`, { cause })
  }
}

function asObject(value: unknown, what: string): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw unexpected(`${what}: expected an object`)
  return value as JsonObject
}

function sizeIn(object: JsonObject, name: string): number {
  const value = object[name]
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw unexpected(`"${name}": expected a number from 0 to 2^53-1`)
  }
  return value
}

function hashIn(object: JsonObject, name: string): Hash {
  return hashFrom(object[name], `"${name}"`)
}

function hashFrom(value: unknown, what: string): Hash {
  if (typeof value !== 'string' || !/^[0-9a-f]{64}$/.test(value))
    throw unexpected(`${what}: expected 64 digits of hex`)
  return asHash(parseHex(value, what), what)
}

function pathFrom(value: unknown, what: string): Hash[] {
  if (!Array.isArray(value)) throw unexpected(`${what}: expected a list of hashes`)
  return value.map((hash) => hashFrom(hash, what))
}

function listIn(object: JsonObject, name: string): JsonObject[] {
  const value = object[name]
  if (!Array.isArray(value)) throw unexpected(`"${name}": expected a list`)
  return value.map((item) => asObject(item, name))
}

function unexpected(message: string): SteleError {
  return new SteleError('unexpected_answer', message)
}
