import * as z from 'zod'
import { parseBase64, toBase64 } from '../bytes/base64.ts'
import { parseHex, toHex } from '../bytes/hex.ts'
import { decodeUtf8 } from '../bytes/text.ts'
import { SteleError } from '../errors.ts'
import { asHash, type Hash } from '../merkle/hash.ts'
import { MAX_NOTE_BYTES } from '../note/note.ts'
import { MAX_ENTRY_BYTES } from '../tile/bundle.ts'
import type { PrefixProof } from './judge.ts'

/** A signed head as it was shown. */
export interface EvidenceHead {
  /** The signed checkpoint, verbatim; of a tree head (RFC 6962) as the checkpoint that it stands for. */
  readonly note: string
  /** `add-checkpoint`: a witness or a mirror was sent it, and knows of no URL. */
  readonly source: 'checkpoint' | 'get-sth' | 'add-checkpoint'
  readonly url: string
  /** When it was first seen, as ISO 8601 has it: the word of who kept this, which no signature covers. */
  readonly seenAt: string
}

/** An entry that says that the log ends with it, and that it is in the tree of the first head. Any submitter may have written it. */
export interface Ending {
  readonly index: number
  readonly entry: Uint8Array
  /** The inclusion proof (RFC 6962 section 2.1.1). */
  readonly path: readonly Hash[]
}

/** Signed heads of one log that do not go together, to be handed to anybody. */
export interface Evidence {
  /**
   * `unproven`: the log signed the second head, and shows nothing that makes it extend the first. `empty_root`: a tree
   * without leaves, signed with another root hash than it can have. `unfrozen`: the log went on behind its end.
   */
  readonly kind: 'fork' | 'rollback' | 'unproven' | 'unfrozen' | 'empty_root'
  readonly origin: string
  /** Verifier keys by which the finder checked the heads. Whoever reads this must know them from elsewhere. */
  readonly keys: readonly string[]
  /**
   * The one seen first, and the one that does not go with it; for `empty_root` one, which speaks for itself, and for
   * `unfrozen` one, if its tree holds the entry that names a successor and goes on behind it.
   */
  readonly heads: readonly [EvidenceHead, EvidenceHead] | readonly [EvidenceHead]
  readonly proof: PrefixProof | undefined
  /** For `unfrozen`, where an entry says that the log has ended. */
  readonly ending?: Ending | undefined
  /** What the finder says about it. */
  readonly message: string
}

const FORMAT = 'stele-evidence/v1'
/** Two notes of the greatest size, escaped as JSON, and room for the rest. */
export const MAX_EVIDENCE_BYTES = 5 * MAX_NOTE_BYTES
/** Most hashes in a consistency proof between sizes below 2^53. */
const MAX_PATH = 54
/** Base64 of the longest entry. */
const MAX_ENTRY_CHARACTERS = Math.ceil(MAX_ENTRY_BYTES / 3) * 4

const hex = z.string().regex(/^[0-9a-f]{64}$/)
const head = z.strictObject({
  source: z.enum(['checkpoint', 'get-sth', 'add-checkpoint']),
  url: z.string().max(8192),
  seenAt: z.iso.datetime(),
  note: z.string().max(MAX_NOTE_BYTES),
})
const fields = {
  format: z.literal(FORMAT),
  origin: z.string().min(1).max(8192),
  message: z.string().max(8192),
  keys: z.array(z.string().max(8192)).max(100),
  proof: z.strictObject({ olderRoot: hex, path: z.array(hex).max(MAX_PATH) }).optional(),
}
const schema = z.discriminatedUnion('kind', [
  z.strictObject({
    ...fields,
    kind: z.enum(['fork', 'rollback', 'unproven']),
    heads: z.tuple([head, head]),
  }),
  z.strictObject({
    ...fields,
    kind: z.literal('unfrozen'),
    heads: z.union([z.tuple([head, head]), z.tuple([head])]),
    ending: z
      .strictObject({
        index: z.int().min(0),
        entry: z.string().max(MAX_ENTRY_CHARACTERS),
        path: z.array(hex).max(MAX_PATH),
      })
      .optional(),
  }),
  z.strictObject({ ...fields, kind: z.literal('empty_root'), heads: z.tuple([head]) }),
])

/** The text of an evidence file (`proto-docs/monitor.md`). */
export function formatEvidence({ kind, origin, message, keys, heads, proof, ending }: Evidence): string {
  const shown = proof && { olderRoot: toHex(proof.olderRoot), path: proof.path.map(toHex) }
  const inOrder = heads.map(({ source, url, seenAt, note }) => ({ source, url, seenAt, note }))
  const end = ending && {
    index: ending.index,
    entry: toBase64(ending.entry),
    path: ending.path.map(toHex),
  }
  const file = { format: FORMAT, kind, origin, message, keys, heads: inOrder, proof: shown, ending: end }
  return `${JSON.stringify(file, undefined, 2)}\n`
}

/**
 * Reads an evidence file. Verifies nothing.
 *
 * @throws SteleError `malformed`
 */
export function parseEvidence(bytes: string | Uint8Array): Evidence {
  const parsed = schema.safeParse(asJson(bytes))
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]!
    throw new SteleError('malformed', `evidence file, ${path.join('.') || 'top'}: ${message}`)
  }
  const { kind, origin, message, keys, heads, proof } = parsed.data
  const ended = parsed.data.kind === 'unfrozen' ? parsed.data.ending : undefined
  const asProofHash = (text: string) => asHash(parseHex(text, 'evidence file, proof'), 'evidence file, proof')
  const prefix = proof && { olderRoot: asProofHash(proof.olderRoot), path: proof.path.map(asProofHash) }
  const ending = ended && {
    index: ended.index,
    entry: parseBase64(ended.entry, 'evidence file, ending'),
    path: ended.path.map(asProofHash),
  }
  return { kind, origin, message, keys, heads, proof: prefix, ending }
}

function asJson(bytes: string | Uint8Array): unknown {
  if (bytes.length > MAX_EVIDENCE_BYTES) {
    throw new SteleError('malformed', `evidence file: expected at most ${MAX_EVIDENCE_BYTES} bytes`)
  }
  const text = typeof bytes === 'string' ? bytes : decodeUtf8(bytes, 'evidence file')
  try {
    return JSON.parse(text) as unknown
  } catch (cause) {
    throw new SteleError('malformed', 'evidence file: expected JSON', { cause })
  }
}
