import type { IncomingMessage, ServerResponse } from 'node:http'
import { proofPermission } from '../../access/caller.ts'
import type { Permission } from '../../access/role.ts'
import { SteleError } from '../../errors.ts'
import type { Log } from '../../log/log.ts'
import type { Hash } from '../../merkle/hash.ts'
import { json } from '../answer.ts'
import { checkpointAnswer, NOT_MODIFIED } from '../checkpoint.ts'
import type { Connections } from '../connections.ts'
import type { HttpDeps } from '../deps.ts'
import { hexOf, hexPath } from '../accept.ts'
import { CORS_HEADERS, FOR_A_DAY, NO_CACHE, NO_STORE, PLAIN_TEXT } from '../headers.ts'
import { hexHashParam, sizeParam, timeoutParam } from '../params.ts'
import { publishedPast } from '../published.ts'
import { networkOf } from '../rates.ts'
import { logRoute, type Route } from '../route.ts'
import { ConsistencyProof, InclusionProof, Text } from '../schemas.ts'

/** An answer for an explicit size never changes; an answer for the published size does. */
const cachedFor = (size: number | undefined) => ({
  ...CORS_HEADERS,
  ...(size === undefined ? NO_CACHE : FOR_A_DAY),
})

interface ProofDeps extends HttpDeps {
  readonly connections: Connections
}

/** The context of a long poll. */
interface Wait {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly timeoutMs: number
}

/** The routes that serve proofs, and the checkpoint long poll. */
export function proofRoutes({ logs, limits, stopping, gate, connections }: ProofDeps): Route[] {
  /** As `publishedPast`, for at most as many callers as may wait at once. */
  const newerThan = async (log: Log, size: number, { req, res, timeoutMs }: Wait): Promise<boolean> => {
    if (log.published.size > size) return true
    const done = connections.waitFor(networkOf(gate.addressOf(req)))
    try {
      return await publishedPast(log, size, { timeoutMs, res, stopping })
    } finally {
      done()
    }
  }

  return [
    logRoute(logs, {
      method: 'get',
      path: 'v1/proofs/inclusion',
      permission: 'read_entries',
      tag: 'Prove',
      summary: 'Prove that a leaf is in the tree',
      query: {
        index: sizeParam('index', '0-based place of the leaf: this or hash.').optional(),
        hash: hexHashParam('hash', 'Leaf hash: this or index.').optional(),
        size: sizeParam('size', 'Size of the tree; default: the published size.').optional(),
      },
      answers: { 200: { description: 'The proof.', content: { 'application/json': InclusionProof } } },
      errors: ['malformed', 'out_of_range', 'not_found', 'index_behind'],
      async handle({ log, query }) {
        if ((query.index === undefined) === (query.hash === undefined)) {
          throw new SteleError('malformed', 'parameters: expected either index or hash')
        }
        const size = query.size ?? log.published.size
        const { index, leaf } =
          query.hash === undefined ? await leafAt(log, query.index!, size) : await leafOf(log, query.hash)
        const path = await log.proveInclusion(index, size, leaf)
        const proof = { index, leafHash: hexOf(leaf), treeSize: size, path: hexPath(path) }
        return json(InclusionProof, proof, cachedFor(query.size))
      },
    }),

    logRoute(logs, {
      method: 'get',
      path: 'v1/proofs/consistency',
      permission: 'read_proofs',
      permissionOf: proofPermissionOf('old', 'new'),
      tag: 'Prove',
      summary: 'Prove that one tree extends another',
      description: OPEN_PROOFS,
      query: {
        old: sizeParam('old', 'The smaller size.'),
        new: sizeParam('new', 'The larger size; default: the published size.').optional(),
      },
      answers: {
        200: {
          description: 'The proof; empty for equal sizes and from 0.',
          content: { 'application/json': ConsistencyProof },
        },
      },
      errors: ['malformed', 'out_of_range'],
      async handle({ log, query }) {
        const oldSize = query.old
        const newSize = query.new ?? log.published.size
        if (oldSize > newSize) {
          throw new SteleError('out_of_range', `sizes: expected old up to new, got ${oldSize} and ${newSize}`)
        }
        const path = await log.proveConsistency(oldSize, newSize)
        return json(ConsistencyProof, { oldSize, newSize, path: hexPath(path) }, cachedFor(query.new))
      },
    }),

    logRoute(logs, {
      method: 'get',
      path: 'v1/checkpoint',
      permission: 'read_heads',
      tag: 'Read',
      summary: 'The published checkpoint, with a long poll for a newer one',
      description: 'With after, answers once the published tree is larger than that size.',
      query: {
        after: sizeParam('after', 'The size that the caller knows.').optional(),
        timeout: timeoutParam(limits.longPollMaxMs, 30),
      },
      answers: {
        200: { description: 'The signed note.', content: { [PLAIN_TEXT]: Text } },
        204: { description: 'Nothing new in time.' },
        ...NOT_MODIFIED,
      },
      errors: ['malformed', 'out_of_range', 'overloaded'],
      async handle({ req, res, log, query: { after, timeout } }) {
        if (after !== undefined && !(await newerThan(log, after, { req, res, timeoutMs: timeout }))) {
          return { status: 204, headers: { ...CORS_HEADERS, ...NO_STORE } }
        }
        return checkpointAnswer(log.published, req.headers['if-none-match'])
      },
    }),
  ]
}

/** For private logs. In a public log all proofs are open. */
export const OPEN_PROOFS =
  'For a log with private entries, callers without a key get only proofs whose sizes are both 0 or a multiple of 256. ' +
  'Other proofs hold leaf hashes and need a key for the log with the role monitor, writer, reader or auditor.'

/**
 * The permission for a consistency proof, from the parameters with its sizes. A repeated parameter counts as no size.
 */
export function proofPermissionOf(...names: readonly string[]): (search: string) => Permission {
  return (search) => {
    const query = new URLSearchParams(search)
    return proofPermission(names.map((name) => oneOf(query.getAll(name))))
  }
}

function oneOf(values: readonly string[]): string | undefined {
  return values.length === 1 ? values[0] : undefined
}

async function leafAt(log: Log, index: number, size: number): Promise<{ index: number; leaf: Hash }> {
  const published = log.published.size
  if (index >= published) {
    throw new SteleError(
      'out_of_range',
      `index ${index} in a tree of ${size}: the published tree has ${published} leaves`,
    )
  }
  const [leaf] = await log.readLeafHashes([index])
  return { index, leaf: leaf! }
}

async function leafOf(log: Log, leaf: Hash): Promise<{ index: number; leaf: Hash }> {
  const index = await log.findLeaf(leaf)
  if (index === undefined) throw new SteleError('not_found', `leaf hash ${hexOf(leaf)}: not in the log`)
  return { index, leaf }
}
