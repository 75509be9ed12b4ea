import * as z from 'zod'
import { parseBase64, toBase64 } from '../bytes/base64.ts'
import { parseHex, toHex } from '../bytes/hex.ts'
import { decodeUtf8 } from '../bytes/text.ts'
import { SteleError } from '../errors.ts'
import { asHash, type Hash } from '../merkle/hash.ts'
import { MAX_NOTE_BYTES } from '../note/note.ts'
import { MAX_ENTRY_BYTES } from '../tile/bundle.ts'
import type { PrefixProof } from './judge.ts'

/** A signed head as the log showed it. */
export interface EvidenceHead {
  /** The signed checkpoint, verbatim. For an RFC 6962 tree head, the equivalent checkpoint. */
  readonly note: string
  /** The request that it came from. `add-checkpoint`: a client sent it to a witness or a mirror, so there is no URL. */
  readonly source: 'checkpoint' | 'get-sth' | 'add-checkpoint'
  readonly url: string
  /** When it was first seen, in ISO 8601. No signature covers this time; the author of the file states it. */
  readonly seenAt: string
}

/**
 * An entry that says that the log ends with it, and the proof that the tree of the first head has it. Any submitter may
 * have written the entry.
 */
export interface Ending {
  readonly index: number
  readonly entry: Uint8Array
  /** The inclusion proof (RFC 6962 section 2.1.1). */
  readonly path: readonly Hash[]
}

/** Contradictory signed heads of one log, for anyone to verify. */
export interface Evidence {
  /**
   * `unproven`: the log signed the second head, but shows no tiles or proof that it extends the first. `empty_root`: a
   * tree without leaves is signed with a wrong root hash. `unfrozen`: the log grew after its end.
   */
  readonly kind: 'fork' | 'rollback' | 'unproven' | 'unfrozen' | 'empty_root'
  readonly origin: string
  /** The verifier keys with which the heads were verified. A reader must get these keys from another source. */
  readonly keys: readonly string[]
  /**
   * The head seen first, and the contradicting one. One head is enough for `empty_root`, and for `unfrozen` if its tree
   * has both the entry that names a successor and later entries.
   */
  readonly heads: readonly [EvidenceHead, EvidenceHead] | readonly [EvidenceHead]
  readonly proof: PrefixProof | undefined
  /** For `unfrozen`, the entry that says that the log has ended, if there is one. */
  readonly ending?: Ending | undefined
  /** A description by the author of the file. */
  readonly message: string
}

const FORMAT = 'stele-evidence/v1'
/** Room for two notes of maximum size, escaped as JSON, and the rest. */
export const MAX_EVIDENCE_BYTES = 5 * MAX_NOTE_BYTES
/** The most hashes in a consistency proof between sizes below 2^53. */
const MAX_PATH = 54
/** Length in base64 of the longest entry. */
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
 * Parses an evidence file. Verifies nothing.
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
