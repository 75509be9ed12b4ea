import { formatGetSth } from '../../note/get-sth.ts'
import { checkedEntries } from '../../log/checked-entries.ts'
import type { Log } from '../../log/log.ts'
import { json } from '../answer.ts'
import type { HttpDeps } from '../deps.ts'
import { base64Of, base64Path } from '../accept.ts'
import { CtError, type CtToken } from '../errors.ts'
import { CORS_HEADERS, FOR_A_DAY, FOR_SECONDS, NO_CACHE } from '../headers.ts'
import { base64HashParam, sizeParam } from '../params.ts'
import { OPEN_PROOFS, proofPermissionOf } from './proof.ts'
import { logRoute, type Route } from '../route.ts'
import { CtConsistency, CtEntries, CtEntryAndProof, CtProofByHash, SignedTreeHead } from '../schemas.ts'

const CACHED = { ...CORS_HEADERS, ...FOR_A_DAY }
const DESCRIPTION = 'As in RFC 6962 section 4. `leaf_input` is the entry as submitted, `extra_data` is empty.'
const common = { method: 'get', tag: 'RFC 6962', description: DESCRIPTION } as const

const treeSize = sizeParam('tree_size', 'Any size up to the published one.')

/** Certificate Transparency's read API. Statuses are those that its clients expect, types those of RFC 9162. */
export function ctRoutes({ logs, limits }: HttpDeps): Route[] {
  return [
    logRoute(logs, {
      ...common,
      path: 'ct/v1/get-sth',
      permission: 'read_heads',
      summary: 'The signed tree head',
      answers: { 200: { description: 'The tree head.', content: { 'application/json': SignedTreeHead } } },
      errors: [],
      handle({ log: { published } }) {
        const head = formatGetSth({ ...published, signature: published.treeHeadSignature })
        return json(SignedTreeHead, head, { ...CORS_HEADERS, ...NO_CACHE })
      },
    }),

    logRoute(logs, {
      ...common,
      path: 'ct/v1/get-sth-consistency',
      permission: 'read_proofs',
      permissionOf: proofPermissionOf('first', 'second'),
      description: `${DESCRIPTION} ${OPEN_PROOFS}`,
      summary: 'Prove that one tree extends another',
      query: {
        first: sizeParam('first', 'The smaller size.'),
        second: sizeParam('second', 'The larger size.'),
      },
      answers: { 200: { description: 'The proof.', content: { 'application/json': CtConsistency } } },
      errors: ['malformed', 'out_of_range'],
      async handle({ log, query: { first, second } }) {
        if (second < first) throw outOfRange('secondBeforeFirst', `second ${second} is below first ${first}`)
        checkSize(log, second, 'secondUnknown')
        const path = await log.proveConsistency(first, second)
        return json(CtConsistency, { consistency: base64Path(path) }, CACHED)
      },
    }),

    logRoute(logs, {
      ...common,
      path: 'ct/v1/get-proof-by-hash',
      permission: 'read_entries',
      summary: 'Prove that a leaf hash is in the tree',
      query: { hash: base64HashParam('hash', 'Leaf hash in base64.'), tree_size: treeSize },
      answers: { 200: { description: 'The proof.', content: { 'application/json': CtProofByHash } } },
      errors: ['malformed', 'out_of_range', 'not_found', 'index_behind'],
      async handle({ log, query: { hash, tree_size: size } }) {
        if (size < 1) throw outOfRange('treeSizeUnknown', 'tree_size: expected at least 1, got 0')
        if (size > log.published.size) {
          throw new CtError('not_found', 'treeSizeUnknown', beyond(log, `tree_size ${size}`))
        }
        const index = await log.findLeaf(hash)
        if (index === undefined || index >= size) {
          throw new CtError(
            'not_found',
            'hashUnknown',
            `hash ${base64Of(hash)}: not in the tree of size ${size}`,
          )
        }
        const path = await log.proveInclusion(index, size, hash)
        return json(CtProofByHash, { leaf_index: index, audit_path: base64Path(path) }, CACHED)
      },
    }),

    logRoute(logs, {
      ...common,
      path: 'ct/v1/get-entries',
      permission: 'read_entries',
      large: true,
      summary: 'Entries of a range, the end included',
      query: { start: sizeParam('start', 'First index.'), end: sizeParam('end', 'Last index.') },
      answers: {
        200: {
          description: 'At least one entry, from start on.',
          content: { 'application/json': CtEntries },
        },
      },
      errors: ['malformed', 'out_of_range'],
      async handle({ log, query: { start, end } }) {
        const { size } = log.published
        if (end < start) throw outOfRange('endBeforeStart', `end ${end} is below start ${start}`)
        if (start >= size) throw outOfRange('startUnknown', beyond(log, `start ${start}`))
        const wanted = Math.min(end + 1, pageEnd(start, end, limits.pageEntries))
        const found = await checkedEntries(log, start, Math.min(wanted, size), limits.pageBytes)
        const entries = found.map(({ entry }) => ({ leaf_input: base64Of(entry), extra_data: '' as const }))
        const caching = wanted > size ? { ...CORS_HEADERS, ...FOR_SECONDS } : CACHED
        return json(CtEntries, { entries }, caching)
      },
    }),

    logRoute(logs, {
      ...common,
      path: 'ct/v1/get-entry-and-proof',
      permission: 'read_entries',
      summary: 'One entry with its inclusion proof',
      query: { leaf_index: sizeParam('leaf_index', '0-based place of the leaf.'), tree_size: treeSize },
      answers: { 200: { description: 'Both.', content: { 'application/json': CtEntryAndProof } } },
      errors: ['malformed', 'out_of_range'],
      async handle({ log, query: { leaf_index: index, tree_size: size } }) {
        checkSize(log, size, 'treeSizeUnknown')
        if (index >= size) throw outOfRange('malformed', `leaf_index ${index}: not below tree_size ${size}`)
        const [found] = await checkedEntries(log, index, index + 1)
        const { entry, leaf } = found!
        const path = await log.proveInclusion(index, size, leaf)
        const answer = { leaf_input: base64Of(entry), extra_data: '' as const, audit_path: base64Path(path) }
        return json(CtEntryAndProof, answer, CACHED)
      },
    }),
  ]
}

/**
 * The end of a page. A page that reaches the limit ends at a multiple of the page size, so that callers that read on
 * ask for the same pages and caches can answer.
 */
function pageEnd(start: number, end: number, pageEntries: number): number {
  if (end - start < pageEntries) return end + 1
  return (Math.floor(start / pageEntries) + 1) * pageEntries
}

function checkSize(log: Log, size: number, token: CtToken): void {
  if (size > log.published.size) throw outOfRange(token, beyond(log, `tree size ${size}`))
}

function beyond(log: Log, what: string): string {
  return `${what}: the published tree has ${log.published.size} leaves`
}

function outOfRange(token: CtToken, message: string): CtError {
  return new CtError('out_of_range', token, message)
}
