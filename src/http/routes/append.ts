import type { IncomingMessage, ServerResponse } from 'node:http'
import { setImmediate as nextTurn } from 'node:timers/promises'
import * as z from 'zod'
import { parseSuccessorEntry } from '../../client/lineage.ts'
import { SteleError } from '../../errors.ts'
import type { Placement } from '../../log/admission.ts'
import type { Appended, Log } from '../../log/log.ts'
import { MAX_ENTRY_BYTES } from '../../tile/bundle.ts'
import { hexOf, hexPath, prefersOver } from '../accept.ts'
import { type Answer, json, text } from '../answer.ts'
import { batchParser, ENTRY_BUNDLE, isBatchType, NDJSON } from '../batch.ts'
import type { BodyReader } from '../body.ts'
import type { HttpDeps } from '../deps.ts'
import { NO_STORE, PLAIN_TEXT } from '../headers.ts'
import { timeoutParam } from '../params.ts'
import { publishedPast } from '../published.ts'
import { type LogCall, logRoute, type Route } from '../route.ts'
import { BatchReceipt, Bytes, Receipt, Text } from '../schemas.ts'

const WRITE_ERRORS = [
  'malformed',
  'forbidden',
  'not_found',
  'too_large',
  'too_slow',
  'unsupported_media_type',
  'rate_limited',
  'overloaded',
  'shutting_down',
  'frozen',
  'log_halted',
  'index_behind',
  'outcome_unknown',
] as const

const wait = z.enum(['integrated', 'published']).default('integrated').meta({
  description:
    'integrated: answer once a signed tree head on disk covers the entry. published: once the published checkpoint does.',
})
/** The bodies of a batch, for the API's description. Neither the batch nor a line may be empty. */
const Lines = z.string().regex(/^[^\n]+(\n[^\n]+)*\n?$/)
const Bundle = Bytes.min(2)
/** The most entries of a batch with proofs: in a log of millions, 1.6 MB of proofs. */
const MOST_PROVEN = 1000
/** Proofs that are made before other requests get their turn. */
const PROOFS_A_TURN = 64

const proof = z
  .stringbool({ truthy: ['true'], falsy: ['false'], case: 'sensitive' })
  .default(false)
  .meta({
    description:
      'Add the c2sp.org/tlog-proof file, or to the receipt of a batch the published checkpoint and the inclusion proof ' +
      'of each entry; implies wait=published.',
    override: { type: 'boolean', default: false },
  })

/** The routes that append. */
export function appendRoutes({ logs, limits, stopping }: HttpDeps, bodies: BodyReader): Route[] {
  const timeout = timeoutParam(limits.longPollMaxMs, 10)

  /** True when the answer may be sent: the caller does not wait for publication, or it happened in time. */
  const inTime = async (
    log: Log,
    size: number,
    asked: { timeout: number },
    res: ServerResponse,
  ): Promise<boolean> => publishedPast(log, size - 1, { timeoutMs: asked.timeout, res, stopping })

  return [
    logRoute(logs, {
      method: 'post',
      path: 'add',
      permission: 'append',
      tag: 'Append',
      summary: 'Append one entry, get its index',
      description: 'The body is the entry, byte for byte. Answers when the entry is integrated.',
      body: { 'application/octet-stream': Bytes },
      answers: {
        200: { description: 'The index in decimal and nothing else.', content: { [PLAIN_TEXT]: Text } },
      },
      errors: WRITE_ERRORS,
      async handle(call) {
        const { placement } = await appendOne(bodies, call)
        return text(String(placement.index), NO_STORE, placedBy(placement))
      },
    }),

    logRoute(logs, {
      method: 'post',
      path: 'v1/entries',
      permission: 'append',
      tag: 'Append',
      summary: 'Append one entry, get a receipt',
      description:
        'The body is the entry, byte for byte, of any content type but the two of batches. With "Accept: text/plain" ' +
        'the answer is the c2sp.org/tlog-proof file itself. Bytes that are in the log already get the same receipt ' +
        'with "duplicate": true, so that repeating a request is safe.',
      query: { wait, timeout, proof },
      body: { 'application/octet-stream': Bytes },
      answers: {
        200: { description: 'The receipt.', content: { 'application/json': Receipt, [PLAIN_TEXT]: Text } },
        202: {
          description: 'Integrated, but not published in time: the receipt, without proof. Ask again later.',
          content: { 'application/json': Receipt },
        },
      },
      errors: WRITE_ERRORS,
      async handle(call) {
        const { req, res, log, query } = call
        if (isBatchType(req.headers['content-type'])) {
          throw new SteleError('unsupported_media_type', 'entry: this content type is for v1/batches')
        }
        const { placement, treeSize } = await appendOne(bodies, call)
        const asFile = prefersOver(req.headers.accept, 'application/json', 'text/plain')
        if (query.wait === 'integrated' && !query.proof && !asFile) return receipt(placement, treeSize)
        if (!(await inTime(log, treeSize, query, res))) return receipt(placement, treeSize, 202)
        if (!query.proof && !asFile) return receipt(placement, treeSize)
        const file = await log.proofFile(placement.index, placement.leafHash)
        return asFile ? text(file, NO_STORE, placedBy(placement)) : receipt(placement, treeSize, 200, file)
      },
    }),

    logRoute(logs, {
      method: 'post',
      path: 'v1/batches',
      permission: 'append',
      tag: 'Append',
      summary: 'Append many entries atomically: all or none',
      description:
        `${NDJSON}: each line, without its line feed, is an entry; empty lines are refused. ${ENTRY_BUNDLE}: uint16 ` +
        `length and bytes of each entry. At most ${limits.maxBatchEntries} entries and ${limits.maxBatchBytes} bytes. ` +
        `New entries get consecutive indexes. With proof=true, at most ${MOST_PROVEN} entries.`,
      query: { wait, timeout, proof },
      body: { [NDJSON]: Lines, [ENTRY_BUNDLE]: Bundle },
      answers: {
        200: { description: 'The receipt.', content: { 'application/json': BatchReceipt } },
        202: {
          description: 'Integrated, but not published in time: the same receipt.',
          content: { 'application/json': BatchReceipt },
        },
      },
      errors: WRITE_ERRORS,
      async handle({ req, res, log, query, caller, hosted: { origin } }) {
        const maxEntries = Math.min(limits.maxBatchEntries, query.proof ? MOST_PROVEN : Infinity)
        const parser = batchParser(req.headers['content-type'], maxEntries)
        const request = { req, res, share: caller.share, maxBytes: limits.maxBatchBytes, what: 'batch' }
        await bodies.stream(request, (chunk) => parser.push(chunk))
        const entries = parser.end()
        checkNotReserved(entries, origin)
        const appended = await log.append(entries, caller.share)
        if (query.wait === 'integrated' && !query.proof) return batchReceipt(appended)
        if (!(await inTime(log, appended.treeSize, query, res))) return batchReceipt(appended, 202)
        return batchReceipt(appended, 200, query.proof ? await proofsOf(log, appended) : undefined)
      },
    }),
  ]
}

async function appendOne(
  bodies: BodyReader,
  { req, res, log, caller: { share }, hosted: { origin } }: LogCall<unknown, unknown>,
): Promise<{ placement: Placement; treeSize: number }> {
  checkSent(req)
  const entry = await bodies.read({ req, res, share, maxBytes: MAX_ENTRY_BYTES, what: 'entry' })
  checkNotReserved([entry], origin)
  const { placements, treeSize } = await log.append([entry], share)
  return { placement: placements[0]!, treeSize }
}

/**
 * Requires a body, or a header that declares it empty. An entry may be empty, but a request without a body is a
 * mistake, and a log cannot delete an entry.
 */
function checkSent({ headers }: IncomingMessage): void {
  if (headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined) return
  throw new SteleError(
    'malformed',
    'entry: the request has no body; send the entry with Content-Length, which is 0 for an empty entry',
  )
}

/** The audit trail's record of an entry; none for a duplicate. */
function placedBy({ index, duplicate }: Placement): Answer['placed'] {
  return duplicate ? undefined : { index, entries: 1 }
}

function receipt(placement: Placement, treeSize: number, status = 200, file?: string): Answer {
  const { index, leafHash, duplicate } = placement
  const fields = { index, leafHash: hexOf(leafHash), treeSize, duplicate }
  const value = file === undefined ? fields : { ...fields, proof: file }
  return json(Receipt, value, NO_STORE, status, placedBy(placement))
}

/** The proofs of a batch: one published checkpoint, and an inclusion proof in its tree for each entry. */
async function proofsOf(
  log: Log,
  { placements }: Appended,
): Promise<{ checkpoint: string; proofs: string[][] }> {
  // One head for all proofs, even when a newer one is published meanwhile.
  const { size, checkpoint } = log.published
  const proofs: string[][] = []
  for (const { index, leafHash: leaf } of placements) {
    // With cached tiles the proofs never wait for the disk, so other requests would wait for a thousand proofs.
    if (proofs.length % PROOFS_A_TURN === PROOFS_A_TURN - 1) await nextTurn()
    proofs.push(hexPath(await log.proveInclusion(index, size, leaf)))
  }
  return { checkpoint, proofs }
}

function batchReceipt(
  { placements, treeSize }: Appended,
  status = 200,
  proven?: { readonly checkpoint: string; readonly proofs: string[][] },
): Answer {
  const duplicates: { position: number; index: number }[] = []
  let begin: number | undefined
  let end = treeSize
  placements.forEach(({ index, duplicate }, position) => {
    if (duplicate) {
      duplicates.push({ position, index })
    } else {
      begin ??= index
      end = index + 1
    }
  })
  const fields = { begin: begin ?? end, end, treeSize, count: placements.length, duplicates }
  const placed = begin === undefined ? undefined : { index: begin, entries: end - begin }
  return json(BatchReceipt, { ...fields, ...proven }, NO_STORE, status, placed)
}

/**
 * Refuses an entry that readers would take for the log's own final record. Readers who follow the log take the key of
 * its successor from that record, so no submitter may write it.
 *
 * @param origin of the log; final records of other logs are accepted
 * @throws SteleError `forbidden`
 */
function checkNotReserved(entries: readonly Uint8Array[], origin: string): void {
  for (const [i, entry] of entries.entries()) {
    if (parseSuccessorEntry(entry)?.origin !== origin) continue
    throw new SteleError(
      'forbidden',
      `entry ${i}: only the log itself may name its successor ("stele log rollover"); nothing was logged`,
    )
  }
}
