import * as z from 'zod'

/*
 * Schemas of the API's answers. `openapi.json` and `docs` are made from them, the compiler checks the handlers against
 * them, and tests parse every answer with them.
 */

const size = (description: string) => z.int().min(0).meta({ description })
const hex = (description: string) =>
  z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .meta({ description })
const base64 = (description: string) =>
  z.base64().meta({ description, override: { contentEncoding: 'base64' } })

const index = size('0-based place of the leaf.')
const leafHash = hex('SHA-256(0x00 || entry), lower-case hex.')
const treeSize = size('Size of a signed tree that covers it.')
const path = z
  .array(hex('A hash of the proof.'))
  .meta({ description: 'Hashes of the proof, leaf side first.' })

/** RFC 9457. */
export const Problem = z
  .object({
    type: z.string().meta({ description: 'about:blank, or on ct/v1 routes a URN with a token of RFC 9162.' }),
    title: z.string().meta({ description: "The status's phrase." }),
    status: z.int().meta({ description: 'The HTTP status.' }),
    detail: z.string().meta({ description: 'What was expected, and what the server got.' }),
    code: z.string().meta({ description: 'Error code for programs: codes are added, never renamed.' }),
    successor: z
      .string()
      .optional()
      .meta({ description: 'With the code frozen: the URL of the log that continues this one.' }),
  })
  .meta({ id: 'Problem', description: 'Why a request was refused.' })
export type ProblemDetails = z.output<typeof Problem>

export const Receipt = z
  .object({
    index,
    leafHash,
    treeSize,
    duplicate: z
      .boolean()
      .meta({ description: 'True when these bytes were already in the log, or pending.' }),
    proof: z.string().optional().meta({ description: 'With proof=true: the c2sp.org/tlog-proof file.' }),
  })
  .meta({ id: 'Receipt', description: 'The entry is on disk, and a signed tree head covers it.' })

export const BatchReceipt = z
  .object({
    begin: size('Index of the first new entry.'),
    end: size('One past the index of the last new entry; equal to begin when none was new.'),
    treeSize,
    count: size('Entries of the batch, duplicates included.'),
    duplicates: z
      .array(
        z.object({
          position: size('0-based place in the batch.'),
          index: size(
            'Index at which the log already had these bytes, or of their first place in this batch.',
          ),
        }),
      )
      .meta({
        description: 'Entries that were not new. All others got the indexes begin to end - 1, in order.',
      }),
    checkpoint: z
      .string()
      .optional()
      .meta({ description: 'With proof=true: the published checkpoint, a signed note.' }),
    proofs: z.array(path).optional().meta({
      description:
        'With proof=true: the inclusion proof of each entry, in the order of the batch, in the tree of the checkpoint.',
    }),
  })
  .meta({ id: 'BatchReceipt', description: 'All entries are on disk, and a signed tree head covers them.' })

export const Leaf = z.object({ index, leafHash, treeSize }).meta({ id: 'Leaf' })

const entry = base64('The bytes as submitted.')
export const Entry = z.object({ index, leafHash, entry, treeSize }).meta({ id: 'Entry' })
export const EntryPage = z
  .object({
    begin: index,
    end: size('One past the last index of this page: the begin of the next request.'),
    treeSize: size('The published tree size.'),
    entries: z.array(z.object({ index, leafHash, entry })).min(1),
  })
  .meta({ id: 'EntryPage', description: 'At least one entry; possibly fewer than requested.' })

export const InclusionProof = z
  .object({ index, leafHash, treeSize: size('The tree size that the proof is for.'), path })
  .meta({ id: 'InclusionProof' })
export const ConsistencyProof = z
  .object({ oldSize: size('The smaller size.'), newSize: size('The larger size.'), path })
  .meta({ id: 'ConsistencyProof' })

/** RFC 6962 section 4. */
const base64Hashes = z.array(base64('A hash of the proof.'))
const leafInput = base64('The bytes as submitted: the input of the leaf hash.')
const extraData = z.literal('').meta({ description: 'Always empty: entries are not certificates.' })
export const SignedTreeHead = z
  .object({
    tree_size: size('Number of leaves.'),
    timestamp: size('Milliseconds since 1970.'),
    sha256_root_hash: base64('Root hash.'),
    tree_head_signature: base64('DigitallySigned, by the P-256 key of the log.'),
  })
  .meta({ id: 'CtSignedTreeHead' })
export const CtConsistency = z.object({ consistency: base64Hashes }).meta({ id: 'CtConsistency' })
export const CtProofByHash = z
  .object({ leaf_index: index, audit_path: base64Hashes })
  .meta({ id: 'CtProofByHash' })
export const CtEntries = z
  .object({ entries: z.array(z.object({ leaf_input: leafInput, extra_data: extraData })).min(1) })
  .meta({ id: 'CtEntries' })
export const CtEntryAndProof = z
  .object({ leaf_input: leafInput, extra_data: extraData, audit_path: base64Hashes })
  .meta({ id: 'CtEntryAndProof' })

export const LogDescription = z
  .object({
    name: z.string().meta({ description: 'Name of the log in URLs.' }),
    origin: z.string().meta({ description: 'First line of its checkpoints.' }),
    path: z.string().meta({ description: 'Prefix of its URLs, from the root of this server.' }),
    verifierKey: z.string().meta({ description: 'vkey of the Ed25519 key that signs its checkpoints.' }),
    verifierKeys: z.array(z.string()).meta({
      description: 'vkeys of all keys that sign its checkpoints now; its v1/keys also lists retired ones.',
    }),
    treeHeadKey: base64('SubjectPublicKeyInfo of the P-256 key that signs its RFC 6962 tree heads.'),
    treeSize: size('Published tree size.').optional(),
    rootHash: hex('Root hash at that size.').optional(),
    timestampMs: size('When that head was signed, milliseconds since 1970.').optional(),
    state: z
      .enum(['confirming', 'serving', 'indexing', 'frozen', 'halted', 'closing', 'closed', 'failed'])
      .meta({
        description:
          'indexing: read-only until the leaf index is rebuilt. frozen: read-only, permanently. halted: read-only. failed: it could not be opened; size and root hash are missing here.',
      }),
    reason: z
      .string()
      .optional()
      .meta({ description: 'Why it is halted or failed; shown to callers with a key for this log.' }),
    successor: z
      .string()
      .optional()
      .meta({ description: 'Of a frozen log: the URL of the log that continues it, if there is one.' }),
    allowDuplicates: z
      .boolean()
      .meta({ description: 'Whether bytes that are in the log already become a new leaf.' }),
    reads: z.enum(['public', 'private', 'meta']).meta({
      description: 'Who may read entries: everyone; callers with a key; for the meta log, auditors.',
    }),
    heads: z.enum(['open', 'closed']).meta({ description: 'Whether everyone may read checkpoints.' }),
  })
  .meta({ id: 'Log' })
const moment = z.object({
  treeSize: size('Size of the tree then.'),
  timestampMs: size('Valid for heads with this timestamp or a later one, milliseconds since 1970.'),
})
/** A key that a log added or retired. */
export const ChangedKey = z
  .object({
    verifierKey: z.string().meta({ description: 'vkey of the key that was added or retired.' }),
    since: moment.meta({ description: 'It signs every head from here on.' }),
    overlapUntilSeconds: size('Until when it was announced to sign, seconds since 1970.').optional(),
    retired: moment.optional().meta({ description: 'It signs no head from here on.' }),
    rotations: z
      .array(z.string())
      .meta({ description: 'The rotation statements of this change, signed by old keys: signed notes.' }),
  })
  .meta({ id: 'ChangedKey' })

/** The final state of a frozen log. */
export const FrozenLog = z
  .object({
    treeSize: size('Final tree size.'),
    rootHash: hex('Final root hash.'),
    successor: z.string().optional(),
    published: z.boolean().meta({
      description:
        'False until enough witnesses have cosigned the final head; until then readers see an older one.',
    }),
  })
  .meta({ id: 'FrozenLog' })

/** The witness policy of a log. */
export const LogPolicy = z
  .object({
    policy: z
      .string()
      .nullable()
      .meta({ description: 'c2sp.org/tlog-policy; null: the log waits for no cosignatures.' }),
  })
  .meta({ id: 'LogPolicy' })

/** The visibility of a log. */
export const LogVisibility = z
  .object({ reads: z.enum(['public', 'private', 'meta']), heads: z.enum(['open', 'closed']) })
  .meta({ id: 'LogVisibility' })

const pass = z.object({
  pass: size('Its number.'),
  startedAtMs: size('Milliseconds since 1970.'),
  finishedAtMs: size('Milliseconds since 1970.'),
  leaves: size('Leaves that were verified.'),
  bytesRead: size('Bytes that were read.'),
  findings: size('Damaged items known at its end.'),
})
/** The scrubber's report about a log. */
export const Scrub = z
  .object({
    coverage: z
      .number()
      .min(0)
      .max(1)
      .meta({ description: 'Share of the tree that this pass has verified.' }),
    pass: size('Number of the current pass.'),
    lastPass: pass.optional(),
    bytesRead: size('Bytes read since the log was opened.'),
    readErrors: size('Failed reads since the log was opened.'),
    findingCount: size('Damaged places.'),
    findings: z
      .array(z.object({ place: z.string(), expected: z.string(), found: z.string(), message: z.string() }))
      .meta({ description: 'The first hundred of them.' }),
  })
  .meta({ id: 'Scrub' })

/** The keys of one log. */
export const LogKeys = z
  .object({
    origin: z.string().meta({ description: 'First line of its checkpoints.' }),
    keys: z.array(
      z.object({
        verifierKey: z.string().meta({ description: 'vkey; its name is that of its signature lines.' }),
        state: z.enum(['active', 'retired']).meta({ description: 'active: it signs every new head.' }),
        since: moment.meta({ description: 'It signs every head from here on.' }),
        overlapUntilSeconds: size('Until when it was announced to sign, seconds since 1970.').optional(),
        retired: moment.optional().meta({ description: 'It signs no head from here on.' }),
      }),
    ),
    rotations: z
      .string()
      .meta({ description: 'Rotation statements: old keys name new ones. As served by v1/keys/rotations.' }),
  })
  .meta({ id: 'LogKeys' })

export const LogList = z.object({ logs: z.array(LogDescription) }).meta({ id: 'LogList' })

export const Health = z.object({ status: z.literal('ok') }).meta({ id: 'Health' })
export const Serving = z.object({ status: z.enum(['serving', 'not serving']) }).meta({ id: 'Serving' })
export const Readiness = z
  .object({
    status: z.enum(['ready', 'not ready']),
    logs: z.array(
      z.object({
        name: z.string(),
        ready: z.boolean(),
        state: z.string(),
        reason: z.string().optional(),
        headAgeMs: z
          .int()
          .optional()
          .meta({ description: 'Age of the published head; negative where it is dated in the future.' }),
      }),
    ),
    disk: z
      .object({
        ready: z.boolean(),
        freeBytes: z.int().optional(),
        minFreeBytes: z.int().optional(),
        reason: z.string().optional(),
      })
      .optional(),
  })
  .meta({ id: 'Readiness' })

/** A body of bytes or text. */
export const Bytes = z.string().meta({ override: { format: 'binary' } })
export const Text = z.string()
/** JSON with a schema of its own elsewhere. */
export const Document = z.record(z.string(), z.unknown())
