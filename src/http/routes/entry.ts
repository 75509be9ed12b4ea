import { SteleError } from '../../errors.ts'
import { checkedEntries } from '../../log/checked-entries.ts'
import { base64Of, hexOf, prefersOver } from '../accept.ts'
import { json, text } from '../answer.ts'
import type { HttpDeps } from '../deps.ts'
import { CORS_HEADERS, IMMUTABLE, INERT_CONTENT, NO_CACHE, PLAIN_TEXT } from '../headers.ts'
import { hexHashParam, sizeParam } from '../params.ts'
import { logRoute, type Route } from '../route.ts'
import { Bytes, Entry, EntryPage, Leaf, Text } from '../schemas.ts'

const READ = { ...CORS_HEADERS, ...NO_CACHE }
const index = sizeParam('index', '0-based place of the leaf.')

/** The routes that read entries. */
export function entryRoutes({ logs, limits }: HttpDeps): Route[] {
  return [
    logRoute(logs, {
      method: 'get',
      path: 'v1/entries',
      permission: 'read_entries',
      large: true,
      tag: 'Read',
      summary: 'Entries of a range',
      description: `One page has at most ${limits.pageEntries} entries and ${limits.pageBytes} bytes of entries.`,
      query: {
        begin: sizeParam('begin', 'First index.'),
        end: sizeParam('end', 'One past the last index; default: the end of the published tree.').optional(),
      },
      answers: { 200: { description: 'One page.', content: { 'application/json': EntryPage } } },
      errors: ['malformed', 'out_of_range', 'not_found'],
      async handle({ log, query: { begin, end } }) {
        const { size } = log.published
        if (end !== undefined && begin >= end) {
          throw new SteleError('out_of_range', `entries: expected begin below end, got ${begin} and ${end}`)
        }
        checkExists(begin, size)
        const last = Math.min(end ?? size, size, begin + limits.pageEntries)
        const entries = await checkedEntries(log, begin, last, limits.pageBytes)
        const page = entries.map((one) => ({
          index: one.index,
          leafHash: hexOf(one.leaf),
          entry: base64Of(one.entry),
        }))
        return json(EntryPage, { begin, end: begin + page.length, treeSize: size, entries: page }, READ)
      },
    }),

    logRoute(logs, {
      method: 'get',
      path: 'v1/entries/{index}',
      permission: 'read_entries',
      tag: 'Read',
      summary: 'One entry',
      description:
        'Its bytes, with its leaf hash in Stele-Leaf-Hash; with "Accept: application/json" both in JSON.',
      params: { index },
      answers: {
        200: {
          description: 'The entry.',
          content: { 'application/octet-stream': Bytes, 'application/json': Entry },
        },
      },
      errors: ['malformed', 'out_of_range', 'not_found'],
      async handle({ req, log, path }) {
        const treeSize = log.published.size
        checkExists(path.index, treeSize)
        const [found] = await checkedEntries(log, path.index, path.index + 1)
        const { entry, leaf } = found!
        const leafHash = hexOf(leaf)
        const vary = { vary: 'accept' }
        if (prefersOver(req.headers.accept, 'application/octet-stream', 'application/json')) {
          return json(
            Entry,
            { index: path.index, leafHash, entry: base64Of(entry), treeSize },
            { ...READ, ...vary },
          )
        }
        const content = { 'content-type': 'application/octet-stream', 'stele-leaf-hash': leafHash }
        return {
          status: 200,
          headers: { ...content, ...CORS_HEADERS, ...IMMUTABLE, ...INERT_CONTENT, ...vary },
          body: entry,
        }
      },
    }),

    logRoute(logs, {
      method: 'get',
      path: 'v1/entries/{index}/proof',
      permission: 'read_entries',
      tag: 'Prove',
      summary: 'The c2sp.org/tlog-proof file of an entry',
      description:
        'An inclusion proof with the published checkpoint. It can be verified offline at any later time.',
      params: { index },
      answers: { 200: { description: 'The file.', content: { [PLAIN_TEXT]: Text } } },
      errors: ['malformed', 'out_of_range', 'not_found'],
      async handle({ log, path }) {
        checkExists(path.index, log.published.size)
        return text(await log.proofFile(path.index), READ)
      },
    }),

    logRoute(logs, {
      method: 'get',
      path: 'v1/leaves/{hash}',
      permission: 'read_entries',
      tag: 'Read',
      summary: 'The index of a leaf hash',
      params: { hash: hexHashParam('hash', 'SHA-256(0x00 || entry), lower-case hex.') },
      answers: {
        200: { description: 'The lowest index with this leaf hash.', content: { 'application/json': Leaf } },
      },
      errors: ['malformed', 'not_found', 'index_behind'],
      async handle({ log, path: { hash } }) {
        const found = await log.findLeaf(hash)
        if (found === undefined) throw new SteleError('not_found', `leaf hash ${hexOf(hash)}: not in the log`)
        return json(Leaf, { index: found, leafHash: hexOf(hash), treeSize: log.published.size }, READ)
      },
    }),
  ]
}

function checkExists(at: number, size: number): void {
  if (at >= size) throw new SteleError('not_found', `entry ${at}: the published tree has ${size} leaves`)
}
