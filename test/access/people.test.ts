import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { loadConfig } from '../../src/config/config.ts'
import { createServerLog } from '../../src/http/server-log.ts'
import { createServer, type RunningServer } from '../../src/server/start.ts'
import { testFolder } from '../support/folder.ts'
import { Issuer } from '../support/issuer.ts'
import { makeInstanceFolder } from '../support/instance-folder.ts'

interface Fixture {
  readonly server: RunningServer
  readonly provisioning: string
  readonly issuer: Issuer
  /** Of the server's own log. */
  readonly lines: string[]
  get(path: string, credentials?: string): Promise<Response>
  metaLines(): Promise<Record<string, unknown>[]>
}

/** A server with a public log, a private one, and people in three groups. */
async function started(): Promise<Fixture> {
  const folder = testFolder()
  const { data, provisioning } = await makeInstanceFolder(['open'], ['closed'], join(folder, 'data'))
  const issuer = await Issuer.start()
  const file = join(folder, 'stele.yaml')
  writeFileSync(
    file,
    `identity:
  issuer: ${issuer.url}
  audience: stele
  grants:
    - { group: readers, role: reader, logs: [closed] }
    - { group: auditors, role: auditor, logs: '*' }
    - { group: admins, role: admin, logs: '*' }
`,
  )
  const lines: string[] = []
  const logger = createServerLog('info', { write: (line) => void lines.push(line) })
  const server = await createServer(loadConfig({ file, flags: { data, port: 0 } }), logger)
  onTestFinished(() => server.close())
  await server.logs.get('closed')!.log!.append([Buffer.from('a private entry')])
  return {
    server,
    provisioning,
    issuer,
    lines,
    get: (path, credentials) =>
      fetch(
        `${server.url}${path}`,
        credentials === undefined ? {} : { headers: { authorization: `Bearer ${credentials}` } },
      ),
    async metaLines() {
      const meta = server.logs.get('meta')!.log!
      const pages = await meta.readEntries(0, meta.published.size)
      const texts = pages.flatMap((page) => new TextDecoder().decode(page).trim().split('\n'))
      return texts.map((text) => JSON.parse(text) as Record<string, unknown>)
    },
  }
}

const CLOSED = '/logs/closed/v1/entries?begin=0'

test('a person reads what their groups may, and the meta log says who and as what', async () => {
  const { get, issuer, metaLines, lines } = await started()
  const reader = await issuer.token({ sub: 'alice@example.com' })
  expect((await get(CLOSED)).status).toBe(404)
  expect((await get(CLOSED, reader)).status).toBe(200)
  expect((await get('/logs/meta/v1/entries?begin=0', reader)).status).toBe(403)
  const both = await issuer.token({ sub: 'bob', groups: ['readers', 'auditors', 'others'] })
  expect((await get('/logs/meta/v1/entries?begin=0', both)).status).toBe(200)
  const told = await metaLines()
  expect(told).toContainEqual(
    expect.objectContaining({ kind: 'request', who: 'alice@example.com', role: 'reader', status: 200 }),
  )
  expect(told).toContainEqual(
    expect.objectContaining({ kind: 'denied', who: 'alice@example.com', role: 'reader', code: 'forbidden' }),
  )
  expect(told).toContainEqual(expect.objectContaining({ who: 'bob', role: 'reader+auditor' }))
  for (const token of [reader, both]) {
    expect(JSON.stringify(told) + lines.join('')).not.toContain(token.split('.')[1])
  }
})

test('a person in no group that is mapped may do what anybody may', async () => {
  const { get, issuer } = await started()
  const token = await issuer.token({ groups: 'readers' })
  expect((await get('/logs/open/checkpoint', token)).status).toBe(200)
  expect((await get(CLOSED, token)).status).toBe(404)
  const keys = await get('/v1/keys', token)
  expect([keys.status, await keys.text()]).toEqual([403, expect.stringContaining('got: no role') as string])
})

test('an admin among people makes keys, which say who made them', async () => {
  const { issuer, server } = await started()
  const authorization = `Bearer ${await issuer.token({ sub: 'carol', groups: ['admins'] })}`
  const make = (role: string): Promise<Response> =>
    fetch(`${server.url}/v1/keys`, {
      method: 'POST',
      headers: { authorization },
      body: JSON.stringify({ role, logs: '*' }),
    })
  const made = await make('reader')
  expect(made.status).toBe(201)
  expect(await made.json()).toMatchObject({ info: { createdBy: 'carol' } })
  expect((await make('admin')).status).toBe(403)
})

test('a token that is not good is refused everywhere, also where none is needed', async () => {
  const { get, issuer, metaLines } = await started()
  const expired = await issuer.token({ exp: Math.floor(Date.now() / 1000) - 60 })
  for (const path of ['/logs/open/checkpoint', CLOSED, '/healthz']) {
    const answer = await get(path, expired)
    expect(answer.status).toBe(401)
    expect(answer.headers.get('www-authenticate')).toBe('Bearer realm="stele"')
    expect(await answer.json()).toMatchObject({ code: 'unauthenticated', detail: 'token: it has expired' })
  }
  // Nobody vouches for the name that it claims.
  expect(JSON.stringify(await metaLines())).not.toContain('alice')
})

test('a token in a URL is not read, and not kept', async () => {
  const { get, issuer, metaLines, lines, provisioning } = await started()
  const token = await issuer.token()
  const search = `?access_token=${token}&token=${token}`
  expect((await get(`/logs/closed/checkpoint${search}`)).status).toBe(404)
  expect((await get(`/logs/open/checkpoint${search}`, provisioning)).status).toBe(200)
  const kept = JSON.stringify(await metaLines()) + lines.join('')
  expect(kept).toContain('access_token=')
  expect(kept).not.toContain(token.split('.')[1])
  expect(kept).not.toContain(token.split('.')[2])
})

test('without the provider, tokens get 503 and a time to come again, and API keys work', async () => {
  const { get, issuer, provisioning, metaLines } = await started()
  issuer.instead.set('/keys', (_, res) => void res.writeHead(500).end('down'))
  const answer = await get(CLOSED, await issuer.token())
  expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '10'])
  expect(await answer.json()).toMatchObject({ code: 'identity_unavailable' })
  expect((await get('/v1/keys', provisioning)).status).toBe(200)
  expect((await get('/logs/open/checkpoint')).status).toBe(200)
  expect((await get('/readyz')).status).toBe(200)
  expect(await metaLines()).toContainEqual(
    expect.objectContaining({ kind: 'request', route: 'GET /v1/keys', status: 200 }),
  )
})

describe('the section', () => {
  const check = (text: string): (() => unknown) => {
    const file = join(testFolder(), 'stele.yaml')
    writeFileSync(file, text)
    return () => loadConfig({ file })
  }
  const good = 'issuer: https://id.example, audience: a'

  test('has defaults for all but who and what', () => {
    expect(check(`identity: { ${good}, grants: [{ group: g, role: reader, logs: [x] }] }`)()).toMatchObject({
      identity: { 'groups-claim': 'groups', 'leeway-seconds': 30 },
    })
    expect(loadConfig({}).identity).toBeNull()
  })

  test.each([
    ['the role provisioning', `${good}, grants: [{ group: g, role: provisioning, logs: '*' }]`, /role/],
    ['plain HTTP', `issuer: http://id.example, audience: a, grants: []`, /issuer: expected an https URL/],
    ['a password in a URL', `issuer: https://u:p@id.example, audience: a, grants: []`, /issuer: expected/],
    ['nobody at all', `${good}, grants: []`, /grants/],
    [
      'no audience',
      `issuer: https://id.example, grants: [{ group: g, role: reader, logs: '*' }]`,
      /audience/,
    ],
    [
      'what it does not know',
      `${good}, grants: [{ group: g, role: reader, log: x, logs: '*' }]`,
      /no such field/,
    ],
    ['keys over plain HTTP', `${good}, jwks-url: 'http://id.example/k', grants: []`, /jwks-url/],
  ])('refuses %s, with the line', (_, text, message) => {
    const load = check(`port: 1\nidentity: { ${text} }\n`)
    expect(load).toThrow(message)
    expect(load).toThrow(/stele\.yaml:2: identity/)
  })
})
