import { parseBase64, toBase64 } from '../bytes/base64.ts'
import { SteleError } from '../errors.ts'
import { asHash } from '../merkle/hash.ts'
import { formatCheckpoint } from './checkpoint.ts'
import { formatNote, parseNote } from './note.ts'
import { formatTimestamped } from './timestamped.ts'
import { treeHeadOfLine } from './tree-head.ts'
import type { SignedTreeHead } from './tree-head.ts'

/** The JSON answer to `get-sth` (RFC 6962 section 4.3). */
export interface GetSthAnswer {
  readonly tree_size: number
  /** Milliseconds. */
  readonly timestamp: number
  /** Base64. */
  readonly sha256_root_hash: string
  /** Base64 of a `DigitallySigned`. */
  readonly tree_head_signature: string
}

/** Name and ID of a log's key of type 0x05. */
export interface TreeHeadKey {
  readonly name: string
  /** 0 to 2^32 - 1. */
  readonly id: number
}

/** A tree head as the answer to `get-sth`. */
export function formatGetSth({ size, timestampMs, root, signature }: SignedTreeHead): GetSthAnswer {
  return {
    tree_size: size,
    timestamp: timestampMs,
    sha256_root_hash: toBase64(root),
    tree_head_signature: toBase64(signature),
  }
}

/**
 * Reads the parsed JSON of a `get-sth` answer; fields it does not know are ignored. Verifies no signature.
 *
 * @throws SteleError `malformed`; `out_of_range` for numbers above 2^53 - 1
 */
export function parseGetSth(answer: unknown): SignedTreeHead {
  const fields: Readonly<Record<string, unknown>> =
    typeof answer === 'object' && answer !== null ? { ...answer } : {}
  return {
    size: readInteger(fields, 'tree_size'),
    timestampMs: readInteger(fields, 'timestamp'),
    root: asHash(readBase64(fields, 'sha256_root_hash'), 'sha256_root_hash'),
    signature: readBase64(fields, 'tree_head_signature'),
  }
}

/**
 * A tree head as a checkpoint with a signature line of type 0x05 (c2sp.org/static-ct-api). It takes no private key, for
 * the signature is the same one; and it verifies nothing: open the result.
 */
export function checkpointOfTreeHead(head: SignedTreeHead, key: TreeHeadKey): string {
  const signature = formatTimestamped({ timestamp: head.timestampMs, signature: head.signature })
  const text = formatCheckpoint({ origin: key.name, size: head.size, root: head.root })
  return formatNote({ text, signatures: [{ name: key.name, id: key.id, signature }] })
}

/**
 * Inverse of {@link checkpointOfTreeHead}; other signature lines are left aside. Verifies nothing.
 *
 * @throws SteleError `untrusted_signer` without a line by that key; `wrong_origin` unless the origin is the key's name;
 *   `malformed`; `out_of_range`
 */
export function treeHeadOfCheckpoint(note: string | Uint8Array, key: TreeHeadKey): SignedTreeHead {
  const { text, signatures } = parseNote(note)
  const line = signatures.find(({ name, id }) => name === key.name && id === key.id)
  if (line === undefined) {
    throw new SteleError('untrusted_signer', `checkpoint: expected a signature by ${key.name}, found none`)
  }
  return treeHeadOfLine(key.name, text, line.signature)
}

function readInteger(fields: Readonly<Record<string, unknown>>, name: string): number {
  const value = fields[name]
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0) {
    throw new SteleError('malformed', `get-sth: expected a whole number as ${name}`)
  }
  if (!Number.isSafeInteger(value)) {
    throw new SteleError('out_of_range', `get-sth: expected at most 2^53-1 as ${name}`)
  }
  return value
}

function readBase64(fields: Readonly<Record<string, unknown>>, name: string): Uint8Array {
  const value = fields[name]
  if (typeof value !== 'string') throw new SteleError('malformed', `get-sth: expected text as ${name}`)
  return parseBase64(value, `get-sth, ${name}`)
}
