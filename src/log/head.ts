import { decodeUtf8, encodeUtf8 } from '../bytes/text.ts'
import { concatBytes } from '../bytes/bytes.ts'
import { getUint64, putUint64 } from '../bytes/integer.ts'
import { SteleError } from '../errors.ts'
import { HASH_BYTES, asHash, type Hash } from '../merkle/hash.ts'

/** What a log says of itself at one moment. */
export interface Head {
  readonly size: number
  readonly root: Hash
  /** Milliseconds since 1970; greater in each head than in the one before, even if the clock was set back. */
  readonly timestampMs: number
}

/** A head with both signatures over it: the checkpoint and the tree head of RFC 6962. */
export interface SignedHead extends Head {
  /** The signed note, as served at `checkpoint`. */
  readonly checkpoint: string
  /** RFC 6962's `tree_head_signature`: a TLS DigitallySigned by the log's P-256 key. */
  readonly treeHeadSignature: Uint8Array
  /** On the heads of a frozen log: no entry will ever follow. Kept with the head, so that it is as durable as that. */
  readonly final?: FinalRecord
}

/** What a frozen log says of what comes after it. */
export interface FinalRecord {
  /** URL of the log that goes on in its place. */
  readonly successor?: string
}

/*
 * The stored form: uint8 1 | uint64 size | uint64 timestamp | 32 bytes root | uint16 length | tree head signature |
 * checkpoint to the end. A final head begins with 2 and has, before the checkpoint, uint16 length | successor. An older
 * version of this program refuses it, and so takes no entries either. `proto-docs/storage.md` describes both.
 */
const VERSION = 1
const FINAL_VERSION = 2
const FIXED_BYTES = 1 + 8 + 8 + HASH_BYTES + 2

/** A signed head as bytes for a store and a head file. */
export function encodeHead(head: SignedHead): Uint8Array {
  const fixed = new Uint8Array(FIXED_BYTES)
  fixed[0] = head.final ? FINAL_VERSION : VERSION
  putUint64(fixed, 1, head.size)
  putUint64(fixed, 9, head.timestampMs)
  fixed.set(head.root, 17)
  new DataView(fixed.buffer).setUint16(49, head.treeHeadSignature.length)
  const final = head.final ? [encodeFinal(head.final)] : []
  return concatBytes(fixed, head.treeHeadSignature, ...final, encodeUtf8(head.checkpoint))
}

/**
 * The inverse of `encodeHead`. Checks the form alone: signatures are the signer's to verify.
 *
 * @param where names the place in error messages
 * @throws SteleError `corrupt`, `foreign_format`
 */
export function decodeHead(record: Uint8Array, where: string): SignedHead {
  const view = new DataView(record.buffer, record.byteOffset, record.length)
  if (record.length < FIXED_BYTES || record.length < FIXED_BYTES + view.getUint16(49)) {
    throw new SteleError('corrupt', `${where}: a signed head is cut short at ${record.length} bytes`)
  }
  if (record[0] !== VERSION && record[0] !== FINAL_VERSION) {
    throw new SteleError(
      'foreign_format',
      `${where}: expected a head record of version 1 or 2, got ${record[0]}`,
    )
  }
  const signatureEnd = FIXED_BYTES + view.getUint16(49)
  const decoded = record[0] === FINAL_VERSION ? decodeFinal(record, signatureEnd, where) : undefined
  return {
    size: getUint64(record, 1, where),
    timestampMs: getUint64(record, 9, where),
    root: asHash(record.slice(17, 17 + HASH_BYTES), where),
    treeHeadSignature: record.slice(FIXED_BYTES, signatureEnd),
    checkpoint: decodeUtf8(record.subarray(decoded?.end ?? signatureEnd), where),
    ...(decoded ? { final: decoded.final } : {}),
  }
}

/** An empty successor stands for none. */
function encodeFinal({ successor = '' }: FinalRecord): Uint8Array {
  const url = encodeUtf8(successor)
  const bytes = new Uint8Array(2 + url.length)
  new DataView(bytes.buffer).setUint16(0, url.length)
  bytes.set(url, 2)
  return bytes
}

function decodeFinal(record: Uint8Array, at: number, where: string): { final: FinalRecord; end: number } {
  const view = new DataView(record.buffer, record.byteOffset, record.length)
  const end = record.length < at + 2 ? Infinity : at + 2 + view.getUint16(at)
  if (record.length < end) {
    throw new SteleError('corrupt', `${where}: a final head is cut short at ${record.length} bytes`)
  }
  const successor = decodeUtf8(record.subarray(at + 2, end), where)
  return { final: successor === '' ? {} : { successor }, end }
}
