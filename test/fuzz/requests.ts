import * as fc from 'fast-check'
import { LOG_ROWS, ROOT_ROWS, type Sample } from '../access/oracle.ts'
import { logsOfEachKind, Stage } from '../access/stage.ts'
import { readText } from '../house/repository.ts'
import { headings } from '../house/markdown.ts'
import { spoilt } from './mutate.ts'

/** Of one request, which part is spoilt. */
const PARTS = ['path', 'search', 'authorization', 'forwarded', 'body', 'type', 'accept', 'nothing'] as const

/**
 * Sends requests of every route, each with one part of it spoilt.
 *
 * @returns how often each status came
 * @throws Error for a status of 500, a code that is not documented, or an answer that is no answer
 */
export async function fuzzRequests(numRuns: number): Promise<ReadonlyMap<number, number>> {
  const logs = await logsOfEachKind()
  for (const log of logs) await log.add(...Array.from({ length: 256 }, (_, i) => `entry ${i}`))
  const stage = await Stage.open({ logs, limits: { longPollMaxMs: 5 } })
  const { key } = await stage.key('auditor')
  const { key: writer } = await stage.key('writer')
  const keys = [undefined, key, writer, stage.provisioning]
  const codes = new Set(
    headings(readText('proto-docs/errors.md')).map((heading) => heading.replaceAll('`', '')),
  )
  const statuses = new Map<number, number>()
  const request = fc.record({
    row: fc.constantFrom(...rows()),
    log: fc.constantFrom('public', 'halfopen', 'closed', 'meta', 'absent'),
    key: fc.constantFrom(...keys),
    part: fc.constantFrom(...PARTS),
    from: fc.ipV4(),
    noise: fc.constant(0),
  })
  const property = fc.asyncProperty(
    request.chain((one) =>
      fc.record({ one: fc.constant(one), bytes: spoilt([Buffer.from(wholePart(one))]) }),
    ),
    async ({ one, bytes }) => {
      const { method, target, ask } = requestOf(one, Buffer.from(bytes).toString('latin1'))
      const { status, code, headers, text } = await stage.ask(method, target, ask)
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
      const isProblem = headers['content-type'] === 'application/problem+json'
      const known = isProblem ? code !== undefined && codes.has(code) : status < 400
      if (status === 500 || !known) throw new Error(`${method} ${target}: ${status} ${text.slice(0, 200)}`)
    },
  )
  await fc.assert(property, { numRuns })
  return statuses
}

interface Spoiling {
  readonly row: { readonly method: string; readonly path: string; readonly sample: Sample }
  readonly log: string
  readonly key: string | undefined
  readonly part: (typeof PARTS)[number]
  readonly from: string
}

function rows(): Spoiling['row'][] {
  return [...Object.entries(LOG_ROWS), ...Object.entries(ROOT_ROWS)].map(([route, { sample }]) => {
    const [method = '', path = ''] = route.split(' ')
    return { method, path, sample }
  })
}

/** The part that is going to be spoilt, as it should be. */
function wholePart({ row, log, key = '', part, from }: Spoiling): string {
  switch (part) {
    case 'path':
      return pathOf(row, log)
    case 'search':
      return row.sample.search ?? '?a=1'
    case 'authorization':
      return `Bearer ${key}`
    case 'forwarded':
      return from
    case 'body':
      return row.sample.body ?? '{"overlapSeconds":1}'
    case 'type':
      return row.sample.headers?.['content-type'] ?? 'application/octet-stream'
    case 'accept':
      return 'text/plain, application/json;q=0.5'
    case 'nothing':
      return '-'
  }
}

function requestOf(spoiling: Spoiling, text: string) {
  const { row, log, key, part, from } = spoiling
  const put = (name: Spoiling['part'], otherwise: string): string => (part === name ? text : otherwise)
  const target = put('path', pathOf(row, log)) + put('search', row.sample.search ?? '')
  const type = put('type', row.sample.headers?.['content-type'] ?? '')
  const authorization = put('authorization', key === undefined ? '' : `Bearer ${key}`)
  const accept = put('accept', '')
  const headers = {
    // From a place of its own each time, so that nobody is slowed down.
    'x-forwarded-for': header(put('forwarded', from)),
    ...(type === '' ? {} : { 'content-type': header(type) }),
    ...(authorization === '' ? {} : { authorization: header(authorization) }),
    ...(accept === '' ? {} : { accept: header(accept), 'accept-encoding': header(accept) }),
  }
  const body = row.method === 'POST' ? put('body', row.sample.body ?? '') : undefined
  // What no client can put on the wire is tried with bare sockets elsewhere.
  const printable = target.replaceAll(/[^\x21-\x7e]/g, (char) => encodeURIComponent(char))
  return {
    method: row.method,
    target: printable.startsWith('/') ? printable : `/${printable}`,
    ask: { headers, body },
  }
}

function pathOf({ path, sample }: Spoiling['row'], log: string): string {
  const values: Readonly<Record<string, string>> = { ...sample.path, log }
  return path.replaceAll(/\{(\w+)\}/g, (_, name: string) => values[name]!)
}

/** What may stand in a header at all (RFC 9110 section 5.5). */
const header = (text: string): string => text.replaceAll(/[^\t\x20-\x7e\x80-\xff]/g, '')
