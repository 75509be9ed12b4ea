import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { ROLES, type Role } from '../../src/access/role.ts'
import { readText } from '../house/repository.ts'
import { eachOf } from './each.ts'
import {
  KINDS,
  LOG_ROWS,
  markdownTables,
  OPEN_PROOF_ROWS,
  ROOT_ROWS,
  type Kind,
  type Sample,
  type Who,
} from './oracle.ts'
import { HOST, logsOfEachKind, Stage, type Reply } from './stage.ts'

const HOUR_MS = 3_600_000

/** What a key, or the lack of one, is worth. */
interface Credentials {
  readonly name: string
  readonly headers: Readonly<Record<string, string>>
  readonly role?: Role
  /** The logs it is for; absent: it is not valid, or there is none. */
  readonly logs?: '*' | readonly string[]
  readonly state: 'none' | 'invalid' | 'valid'
}

test('every route of the app has a row, and every row a route', async () => {
  const { routes } = await Stage.open()
  const names = routes.map(({ method, path }) => `${method.toUpperCase()} ${path}`)
  expect(names.toSorted()).toEqual([...Object.keys(LOG_ROWS), ...Object.keys(ROOT_ROWS)].toSorted())
})

test(
  'every route answers every caller on every kind of log as the table says',
  { timeout: 120_000 },
  async () => {
    const logs = await logsOfEachKind()
    const stage = await Stage.open({ logs, limits: { longPollMaxMs: 10 } })
    for (const log of logs) await log.add(...Array.from({ length: 256 }, (_, i) => `entry ${i}`))
    await stage.metaLog.add(...Array.from({ length: 256 }, () => '{"kind":"event","event":"filler"}\n'))
    const everybody = await allCredentials(stage)
    const cases = everybody.flatMap((credentials) => [
      ...[...Object.entries(LOG_ROWS), ...Object.entries(OPEN_PROOF_ROWS)].flatMap(
        ([route, { on, sample }]) => [
          ...KINDS.map((kind) => ({ credentials, route, sample, kind, who: on[kind] })),
          { credentials, route, sample, kind: 'absent' as const, who: 'anyone' as const },
        ],
      ),
      ...Object.entries(ROOT_ROWS).map(([route, { who, sample }]) => ({
        credentials,
        route,
        sample,
        kind: undefined,
        who,
      })),
    ])
    const wrong: string[] = []
    let address = 0
    await eachOf(32, cases, async ({ credentials, route, sample, kind, who }) => {
      // Each from a place of its own: whoever sends wrong keys is slowed down after some of them.
      const n = address++
      const from = `198.18.${n >> 8}.${n & 255}`
      const [method, path] = requestOf(route, sample, kind)
      const headers = { 'x-forwarded-for': from, ...sample.headers, ...credentials.headers }
      const reply = await stage.ask(method, path, { headers, body: sample.body })
      const expected = expectedOf(credentials, kind, who, sample)
      const came = cameOf(reply)
      if (came !== expected)
        wrong.push(`${credentials.name}: ${method} ${path}: expected ${expected}, got ${came}`)
    })
    expect(wrong.slice(0, 20)).toEqual([])
    // Roles, scopes, states: a matrix that silently shrinks says nothing.
    expect(cases.length).toBeGreaterThan(5000)
  },
)

test('the page for readers shows the same table', () => {
  expect(readText('proto-docs/access.md')).toContain(markdownTables())
})

/** Status and code; of a log that is not there, and of what is not there in a log, which of the two. */
function cameOf({ status, code, text }: Reply): string {
  if (status === 404) return text.includes('log: expected one that v1/logs lists') ? 'no such log' : '404'
  return status === 401 || status === 403 ? `${status} ${code}` : String(status)
}

function expectedOf(
  { state, role, logs }: Credentials,
  kind: Kind | 'absent' | undefined,
  who: Who,
  { status = 200 }: Sample,
): string {
  if (state === 'invalid') return '401 unauthenticated'
  const covers = logs === '*' || (kind !== undefined && logs?.includes(kind) === true)
  const isHolder = state === 'valid' && (kind === undefined || covers)
  if (kind === 'absent' || (kind === 'closed' && !isHolder)) return 'no such log'
  if (who === 'anyone' || (isHolder && who.includes(role!))) return String(status)
  return state === 'none' ? '401 unauthenticated' : '403 forbidden'
}

function requestOf(
  route: string,
  { path = {}, search = '' }: Sample,
  kind: string | undefined,
): [string, string] {
  const [method = '', pattern = ''] = route.split(' ')
  const values: Readonly<Record<string, string>> = { ...path, log: kind ?? '' }
  return [method, pattern.replaceAll(/\{(\w+)\}/g, (_, name: string) => values[name]!) + search]
}

/** Every role with every scope, in every state that a key can be in. */
async function allCredentials(stage: Stage): Promise<Credentials[]> {
  const bearer = (key: string) => ({ authorization: `Bearer ${key}` })
  const invalid = (name: string, authorization: string): Credentials => ({
    name,
    headers: { authorization },
    state: 'invalid',
  })
  const found: Credentials[] = [
    { name: 'no key', headers: {}, state: 'none' },
    invalid('another scheme', 'Basic dXNlcjpwYXNz'),
    invalid('no key behind the scheme', 'Bearer '),
    invalid('not a key', 'Bearer something-else'),
    invalid('two keys', 'Bearer one, Bearer two'),
  ]
  for (const role of ROLES) {
    if (role === 'provisioning') {
      found.push({ name: role, headers: bearer(stage.provisioning), role, logs: '*', state: 'valid' })
      continue
    }
    for (const logs of ['*', [...KINDS, 'other'], ['other']] as const) {
      const { key } = await stage.key(role, logs)
      found.push({ name: `${role} for ${String(logs)}`, headers: bearer(key), role, logs, state: 'valid' })
    }
    const rotated = await stage.key(role)
    await stage.keyring.rotate(HOST, rotated.id, 2 * HOUR_MS)
    found.push({
      name: `${role}, rotated, both still valid`,
      headers: bearer(rotated.key),
      role,
      logs: '*',
      state: 'valid',
    })
    const here = await stage.key(role, '*', { addresses: ['198.18.0.0/15'] })
    found.push({
      name: `${role} from the right address`,
      headers: bearer(here.key),
      role,
      logs: '*',
      state: 'valid',
    })

    const replaced = await stage.key(role)
    await stage.keyring.rotate(HOST, replaced.id, HOUR_MS / 2)
    const revoked = await stage.key(role)
    await stage.keyring.revoke(HOST, revoked.id)
    const expiresAt = new Date(stage.nowMs + HOUR_MS / 2).toISOString()
    const expired = await stage.key(role, '*', { expiresAt })
    const elsewhere = await stage.key(role, '*', { addresses: ['192.0.2.0/24'] })
    const { key } = await stage.key(role)
    const [, , id, secret = ''] = key.split('_')
    const otherRole = role === 'admin' ? 'writer' : 'admin'
    const states: Readonly<Record<string, string>> = {
      'rotated, its time over': replaced.key,
      revoked: revoked.key,
      expired: expired.key,
      'from another address': elsewhere.key,
    }
    // What is wrong with the text itself is so whatever the role: once will do.
    const spelling: Readonly<Record<string, string>> = {
      'cut short': key.slice(0, -1),
      'with a wrong checksum': key.slice(0, -6) + (key.endsWith('aaaaaa') ? 'bbbbbb' : 'aaaaaa'),
      'with an unknown id': spelled(role, 'z'.repeat(16), secret),
      'with a wrong secret': spelled(role, id!, `${secret.slice(0, -1)}${secret.endsWith('a') ? 'b' : 'a'}`),
      'with another role written into it': spelled(otherRole, id!, secret),
      'in capitals': key.toUpperCase(),
    }
    for (const [name, text] of Object.entries({ ...states, ...(role === 'auditor' ? spelling : {}) }))
      found.push(invalid(`${role} ${name}`, `Bearer ${text}`))
  }
  stage.pass(HOUR_MS)
  return found
}

/** A key with a checksum that fits: RFC 4648 base32 in lower case, five bits of each byte of SHA-256. */
function spelled(role: string, id: string, secret: string): string {
  const body = `st_${role}_${id}_${secret}`
  const digest = createHash('sha256').update(body).digest().subarray(0, 6)
  return `${body}_${Array.from(digest, (byte) => 'abcdefghijklmnopqrstuvwxyz234567'[byte % 32]).join('')}`
}
