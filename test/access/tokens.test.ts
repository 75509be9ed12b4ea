import { createHmac } from 'node:crypto'
import * as fc from 'fast-check'
import { exportSPKI, importJWK, type CryptoKey } from 'jose'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Caller } from '../../src/access/caller.ts'
import { grantsOf, PeopleTokens, personId } from '../../src/access/tokens.ts'
import { PROVIDER_TIMES, ProviderKeys, type ProviderParts } from '../../src/access/provider-keys.ts'
import { Issuer } from '../support/issuer.ts'

interface Reading {
  /** Of the keys, in milliseconds; moved by hand. */
  clock: { nowMs: number }
  read(token: string): Promise<Caller>
}

function reading(issuer: Issuer, parts: Partial<ProviderParts> = {}): Reading {
  const clock = { nowMs: 1_000_000 }
  const keys = new ProviderKeys({ place: { issuer: issuer.url }, nowMs: () => clock.nowMs, ...parts })
  const rules = {
    issuer: issuer.url,
    audience: 'stele',
    groupsClaim: 'groups',
    leewaySeconds: 30,
    grants: [
      { group: 'readers', role: 'reader', logs: ['main'] },
      { group: 'auditors', role: 'auditor', logs: '*' },
    ] as const,
  }
  const tokens = new PeopleTokens({ rules, keyOf: keys.keyOf, nowMs: Date.now })
  return { clock, read: (token) => tokens.authenticate(token, '192.0.2.1') }
}

const now = (): number => Math.floor(Date.now() / 1000)
const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
const DISCOVERY = '/.well-known/openid-configuration'
const REFUSED = { code: 'unauthenticated' }

describe('a token of the provider', () => {
  test.each(['RS256', 'PS256', 'ES256', 'EdDSA'])('signed with %s says who somebody is', async (alg) => {
    const issuer = await Issuer.start(alg)
    expect(await reading(issuer).read(await issuer.token())).toEqual({
      kind: 'person',
      id: 'alice',
      grants: [{ role: 'reader', logs: ['main'] }],
      address: '192.0.2.1',
      share: 'person:alice',
    })
  })

  test('may be for several audiences, say its type, and be a little late or early', async () => {
    const issuer = await Issuer.start()
    const { read } = reading(issuer)
    for (const claims of [{ aud: ['other', 'stele'] }, { exp: now() - 10 }, { nbf: now() + 10 }]) {
      expect((await read(await issuer.token(claims))).id).toBe('alice')
    }
    for (const typ of ['JWT', 'at+jwt', 'application/at+JWT']) {
      expect((await read(await issuer.token({}, { typ }))).id).toBe('alice')
    }
  })

  const wrong: readonly [what: string, claims: () => object, header?: object][] = [
    ['has expired', () => ({ exp: now() - 60 })],
    ['never expires', () => ({ exp: undefined })],
    ['is not valid yet', () => ({ nbf: now() + 60 })],
    ['is for another audience', () => ({ aud: 'other' })],
    ['is for no audience', () => ({ aud: undefined })],
    ['is of another issuer', () => ({ iss: 'https://other.example' })],
    ['is of no issuer', () => ({ iss: undefined })],
    ['is about nobody', () => ({ sub: undefined })],
    ['is about an empty name', () => ({ sub: '' })],
    ['is about a number', () => ({ sub: 7 })],
    ['expires at a text', () => ({ exp: 'never' })],
    ['ends a session', () => ({}), { typ: 'logout+jwt' }],
    ['asks for what nobody knows', () => ({}), { crit: ['new'], new: true }],
  ]
  test.each(wrong)('is refused when it %s', async (_, claims, header = {}) => {
    const issuer = await Issuer.start()
    const sent = await issuer.signed(claims(), header)
    await expect(reading(issuer).read(sent)).rejects.toMatchObject(REFUSED)
  })

  test('is good when it was put together by hand as those above were', async () => {
    const issuer = await Issuer.start()
    expect((await reading(issuer).read(await issuer.signed({}, {}))).id).toBe('alice')
  })

  test('is refused when one bit of it was changed', async () => {
    const issuer = await Issuer.start()
    const [header = '', payload = '', signature = ''] = (await issuer.token()).split('.')
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as object
    const other = encoded({ ...claims, groups: ['auditors'] })
    await expect(reading(issuer).read(`${header}.${other}.${signature}`)).rejects.toMatchObject(REFUSED)
  })
})

describe('algorithms', () => {
  test('none is none', async () => {
    const issuer = await Issuer.start()
    const claims = encoded({ iss: issuer.url, aud: 'stele', sub: 'alice', exp: now() + 60 })
    for (const alg of ['none', 'None', 'NONE', '']) {
      const token = `${encoded({ alg, kid: 'key-0' })}.${claims}.`
      await expect(reading(issuer).read(token)).rejects.toMatchObject(REFUSED)
    }
  })

  test('a public key is no shared secret', async () => {
    const issuer = await Issuer.start('RS256')
    const [{ jwk }] = issuer.keys as [Issuer['keys'][number]]
    const spki = await exportSPKI((await importJWK(jwk, 'RS256')) as CryptoKey)
    const claims = encoded({ iss: issuer.url, aud: 'stele', sub: 'alice', exp: now() + 60 })
    for (const secret of [spki, spki.trim(), JSON.stringify(jwk), jwk.n!]) {
      const head = `${encoded({ alg: 'HS256', kid: jwk.kid })}.${claims}`
      const token = `${head}.${createHmac('sha256', secret).update(head).digest('base64url')}`
      await expect(reading(issuer).read(token)).rejects.toMatchObject(REFUSED)
    }
  })

  test('a shared secret among the keys of the provider signs nothing', async () => {
    const issuer = await Issuer.start()
    const secret = Buffer.alloc(32, 7)
    issuer.keys.push({ ...issuer.keys[0]!, jwk: { kty: 'oct', k: secret.toString('base64url'), kid: 'oct' } })
    const head = `${encoded({ alg: 'HS256', kid: 'oct' })}.${encoded({ iss: issuer.url, aud: 'stele', sub: 'a', exp: now() + 60 })}`
    const token = `${head}.${createHmac('sha256', secret).update(head).digest('base64url')}`
    await expect(reading(issuer).read(token)).rejects.toMatchObject(REFUSED)
  })

  test.each(['ES384', 'RS512'])('%s is not in the list', async (alg) => {
    const issuer = await Issuer.start(alg)
    await expect(reading(issuer).read(await issuer.token())).rejects.toMatchObject(REFUSED)
  })

  test("a key that comes with the token is nobody's", async () => {
    const issuer = await Issuer.start()
    const stranger = await Issuer.start()
    const [key] = stranger.keys as [Issuer['keys'][number]]
    const token = await issuer.token({}, { jwk: key.jwk, jku: `${stranger.url}/keys`, kid: 'key-0' }, key)
    await expect(reading(issuer).read(token)).rejects.toMatchObject(REFUSED)
    expect(stranger.asked).toEqual([])
  })
})

describe('the keys of the provider', () => {
  test('are asked for once, however many tokens come at once', async () => {
    const issuer = await Issuer.start()
    const { read } = reading(issuer)
    const token = await issuer.token()
    await Promise.all(Array.from({ length: 20 }, () => read(token)))
    await read(token)
    expect(issuer.asked).toEqual(['/.well-known/openid-configuration', '/keys'])
  })

  test('are not looked for where the configuration says where they are', async () => {
    const issuer = await Issuer.start()
    const place = { issuer: issuer.url, jwksUrl: `${issuer.url}/elsewhere` }
    await reading(issuer, { place }).read(await issuer.token())
    expect(issuer.asked).toEqual(['/elsewhere'])
  })

  test('may change: a new one is found, an old one is forgotten', async () => {
    const issuer = await Issuer.start()
    const { clock, read } = reading(issuer)
    const old = await issuer.token()
    await read(old)
    issuer.keys = []
    const key = await issuer.addKey('EdDSA', 'new')
    const next = await issuer.token({}, {}, key)
    clock.nowMs += PROVIDER_TIMES.unknownKeyMs
    expect((await read(next)).id).toBe('alice')
    await expect(read(old)).rejects.toMatchObject(REFUSED)
  })

  test('are forgotten in time, though nobody comes with another one', async () => {
    const issuer = await Issuer.start()
    const { clock, read } = reading(issuer)
    const old = await issuer.token()
    await read(old)
    issuer.keys = []
    clock.nowMs += PROVIDER_TIMES.freshMs - 1
    await read(old)
    clock.nowMs += 1
    await expect(read(old)).rejects.toMatchObject(REFUSED)
  })

  test('are not asked for again and again by whoever makes keys up', async () => {
    const issuer = await Issuer.start()
    const { clock, read } = reading(issuer)
    await read(await issuer.token())
    for (let i = 0; i < 10; i++) {
      const made = await issuer.token({}, { kid: `made up ${i}` })
      await expect(read(made)).rejects.toMatchObject(REFUSED)
    }
    expect(issuer.asked).toHaveLength(2)
    clock.nowMs += PROVIDER_TIMES.unknownKeyMs
    for (let i = 0; i < 10; i++) {
      await expect(read(await issuer.token({}, { kid: `other ${i}` }))).rejects.toMatchObject(REFUSED)
    }
    expect(issuer.asked).toHaveLength(4)
  })

  test('stay good for an hour while the provider is away, and no longer', async () => {
    const issuer = await Issuer.start()
    const { clock, read } = reading(issuer)
    const token = await issuer.token({ exp: now() + 86_400 })
    await read(token)
    issuer.instead.set('/keys', (_, res) => void res.writeHead(500).end())
    clock.nowMs += PROVIDER_TIMES.staleMs - 1
    expect((await read(token)).id).toBe('alice')
    clock.nowMs += PROVIDER_TIMES.failureMs
    await expect(read(token)).rejects.toMatchObject({ code: 'identity_unavailable' })
    issuer.instead.clear()
    clock.nowMs += PROVIDER_TIMES.failureMs
    expect((await read(token)).id).toBe('alice')
  })

  const bad: readonly [what: string, path: string, body: () => string][] = [
    ['is no JSON', '/keys', () => 'nonsense'],
    ['is a list', '/keys', () => '[]'],
    ['holds no keys', '/keys', () => '{}'],
    ['holds no objects', '/keys', () => '{"keys":["x"]}'],
    ['is huge', '/keys', () => JSON.stringify({ keys: [], more: 'x'.repeat(300_000) })],
    [
      'has a thousand keys',
      '/keys',
      () => JSON.stringify({ keys: Array.from({ length: 1000 }, () => ({ kty: 'EC' })) }),
    ],
    ['names another issuer', DISCOVERY, () => JSON.stringify({ issuer: 'https://x.example', jwks_uri: 'x' })],
    ['names no keys', DISCOVERY, () => JSON.stringify({ issuer: '', jwks_uri: 7 })],
  ]
  test.each(bad)('are not to be had when what comes %s', async (_, path, body) => {
    const issuer = await Issuer.start()
    issuer.instead.set(path, (_req, res) => void res.end(body()))
    const token = await issuer.token()
    await expect(reading(issuer).read(token)).rejects.toMatchObject({ code: 'identity_unavailable' })
  })

  test('are not fetched over plain HTTP, nor from where a redirect points', async () => {
    const issuer = await Issuer.start()
    const token = await issuer.token()
    const document = { issuer: issuer.url, jwks_uri: 'http://keys.example/' }
    issuer.instead.set(DISCOVERY, (_, res) => void res.end(JSON.stringify(document)))
    await expect(reading(issuer).read(token)).rejects.toMatchObject({ code: 'identity_unavailable' })
    issuer.instead.clear()
    issuer.instead.set('/keys', (_, res) => void res.writeHead(302, { location: '/moved' }).end())
    await expect(reading(issuer).read(token)).rejects.toMatchObject({ code: 'identity_unavailable' })
    expect(issuer.asked).not.toContain('/moved')
  })

  test('have to come whole in time, and after a failure nobody waits for them again at once', async () => {
    const issuer = await Issuer.start()
    const limits = { timeoutMs: 100, maxBytes: 1000 }
    const { read } = reading(issuer, { limits })
    // Something comes all the time, and never all of it.
    issuer.instead.set('/keys', (_, res) => {
      const drip = setInterval(() => res.write(' '), 10)
      onTestFinished(() => clearInterval(drip))
    })
    const token = await issuer.token()
    const failure = { code: 'identity_unavailable', message: expect.stringContaining('in time') as string }
    await expect(read(token)).rejects.toMatchObject(failure)
    issuer.instead.clear()
    await expect(read(token)).rejects.toMatchObject(failure)
    expect(issuer.asked).toHaveLength(2)
  })

  test('are not to be had from a provider that is not there', async () => {
    const issuer = await Issuer.start()
    const token = await issuer.token()
    const place = { issuer: issuer.url, jwksUrl: 'http://127.0.0.1:1/keys' }
    await expect(reading(issuer, { place }).read(token)).rejects.toMatchObject({
      code: 'identity_unavailable',
      retryAfterSeconds: 10,
    })
  })
})

describe('whatever is sent for a token', () => {
  test('nothing but "unauthenticated" comes out, and no message repeats it', async () => {
    const issuer = await Issuer.start()
    const { read } = reading(issuer)
    const [header = '', payload = '', signature = ''] = (await issuer.token()).split('.')
    const part = fc.oneof(
      fc.constantFrom(header, payload, signature, '', '.', '!'),
      fc.base64String().map((text) => text.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')),
      fc.json().map((text) => Buffer.from(text).toString('base64url')),
      fc
        .record(
          {
            alg: fc.constantFrom('ES256', 'HS256', 'none', 'RS256', '__proto__', 7),
            kid: fc.oneof(fc.constant('key-0'), fc.string(), fc.integer()),
            crit: fc.array(fc.string()),
            b64: fc.boolean(),
            typ: fc.oneof(fc.string(), fc.integer()),
            zip: fc.string(),
          },
          { requiredKeys: [] },
        )
        .map(encoded),
    )
    const tokens = fc.oneof(
      fc.array(part, { maxLength: 6 }).map((parts) => parts.join('.')),
      fc.tuple(part, part, part).map((parts) => parts.join('.')),
      fc.string(),
    )
    const good = `${header}.${payload}.${signature}`
    await fc.assert(
      fc.asyncProperty(
        tokens.filter((token) => token !== good),
        async (token) => {
          const error: unknown = await read(token).catch((thrown: unknown) => thrown)
          expect(error).toMatchObject(REFUSED)
          if (token.length > 40) expect((error as Error).message).not.toContain(token)
        },
      ),
      { numRuns: 500 },
    )
  })

  test('claims of any kind make a person, or nobody', async () => {
    const issuer = await Issuer.start('EdDSA')
    const { read } = reading(issuer)
    await fc.assert(
      fc.asyncProperty(fc.jsonValue(), fc.jsonValue(), async (sub, groups) => {
        const token = await issuer.token({ sub: sub as never, groups })
        const found: unknown = await read(token).catch((thrown: unknown) => thrown)
        if (found instanceof Error) expect(found).toMatchObject(REFUSED)
        else expect((found as Caller).id).toMatch(/^[\x21-\x7e]([\x20-\x7e]{0,198}[\x21-\x7e])?$/)
      }),
      { numRuns: 200 },
    )
  })
})

describe('the name of a person', () => {
  test.each([['alice'], ['a'], ['auth0|5f7c8ec7c33c6c004bbafe82'], ['x'.repeat(200)], ['Alice Example']])(
    '%j is taken as it is',
    (subject) => expect(personId(subject)).toBe(subject),
  )

  test.each([
    ['too long', 'x'.repeat(201)],
    ['not printable', 'a\nb'],
    ['not ASCII', 'zoë'],
    ['with a space that nobody sees', 'alice '],
    ['like the id of a key', 'abcdefghijklmnop'],
    ['like a command', 'init'],
    ['like a hash of another', `sha256:${'0'.repeat(64)}`],
  ])('%s stands under its hash', (_, subject) => {
    expect(personId(subject)).toMatch(/^sha256:[0-9a-f]{64}$/)
    expect(personId(subject)).not.toBe(subject)
  })

  test.each([undefined, null, 7, '', {}, ['alice'], '\ud800'])('%j is none', (subject) => {
    expect(personId(subject)).toBeUndefined()
  })
})

describe('groups', () => {
  const mapped = [
    { group: 'a', role: 'reader', logs: ['x'] },
    { group: 'a', role: 'writer', logs: ['y'] },
    { group: 'b', role: 'admin', logs: '*' },
  ] as const
  test('give what they are mapped to, and nothing else', () => {
    expect(grantsOf(['a', 'c', 7, null], mapped)).toEqual([
      { role: 'reader', logs: ['x'] },
      { role: 'writer', logs: ['y'] },
    ])
    expect(grantsOf(['c'], mapped)).toEqual([])
  })

  test.each([undefined, null, 'a', 'a b', { a: true }, 7, [['a']]])('%j gives nothing', (groups) => {
    expect(grantsOf(groups, mapped)).toEqual([])
  })
})
