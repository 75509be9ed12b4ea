import { createHash } from 'node:crypto'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Caller } from '../../src/access/caller.ts'
import type { Role } from '../../src/access/role.ts'
import { SteleError } from '../../src/errors.ts'
import type { Exchange } from '../../src/http/trail.ts'
import { RequestLines } from '../../src/audit-trail/meta-line.ts'

interface Asked {
  readonly who: string
  readonly roles: readonly Role[]
  readonly method: string
  readonly url: string
  readonly status: number
  readonly refused: boolean
}

const callerOf = ({ who, roles }: Asked): Caller => ({
  kind: 'person',
  id: who,
  grants: roles.map((role) => ({ role, logs: '*' })),
  address: '192.0.2.1',
  share: who,
})

const exchangeOf = ({ method, url, status, refused }: Asked): Exchange =>
  ({
    route: { path: '/logs/{log}/v1/entries' },
    call: { req: { method, url }, path: { log: 'main' } },
    requestId: 'r-1',
    address: '192.0.2.1',
    answer: { status, headers: {}, body: 'ä', count: 1 },
    error: refused ? new SteleError('frozen', 'why') : undefined,
    denied: false,
    tookMs: 1.2345,
  }) as unknown as Exchange

/** The same without a memory. */
const expectedOf = ({ who, roles, method, url, status, refused }: Asked): object => ({
  kind: 'request',
  who,
  role: [...new Set(roles)].join('+'),
  route: `${method} /logs/{log}/v1/entries`,
  log: 'main',
  query: url.slice(0, 512),
  queryHash: createHash('sha256').update(url).digest('hex'),
  status,
  ...(refused ? { code: 'frozen' } : {}),
  count: 1,
  bytes: 2,
  address: '192.0.2.1',
  tookMs: 1.23,
  requestId: 'r-1',
})

const ROLES: Role[][] = [['reader'], ['writer'], ['reader', 'writer'], ['reader', 'reader']]

// Few of each, so that most questions have been asked before; names that could be taken for something else.
const asked: fc.Arbitrary<Asked> = fc.record({
  who: fc.constantFrom('a', 'a reader', 'a reader GET', '1 a', '"', 'ä\n', '7 a reader'),
  roles: fc.constantFrom(...ROLES),
  method: fc.constantFrom('GET', 'POST', 'HEAD'),
  url: fc.constantFrom(
    '/logs/main/v1/entries',
    '/logs/main/v1/entries?wait=published',
    `/${'x'.repeat(600)}`,
  ),
  status: fc.constantFrom(200, 410),
  refused: fc.boolean(),
})

test('whoever asked the same before, every line says who asked what, and what came of it', () => {
  fc.assert(
    fc.property(fc.array(asked, { minLength: 2, maxLength: 60 }), (all) => {
      const lines = new RequestLines()
      for (const one of all) {
        const text = `{${lines.textOf(exchangeOf(one), callerOf(one))}`
        expect(JSON.parse(text)).toEqual(expectedOf(one))
      }
    }),
  )
})
