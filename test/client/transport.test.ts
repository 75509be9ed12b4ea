import { describe, expect, it } from 'vitest'
import { parseRetryAfter } from '../../src/client/problem.ts'
import { Transport } from '../../src/client/transport.ts'
import type { Fetch } from '../../src/client/wire.ts'
import { FakeClock, problem } from './fake-log.ts'

const URL = 'https://log.example/x'

function transport(fetch: Fetch, timeoutMs = 1000): Transport {
  return new Transport({ fetch, timeoutMs, clock: new FakeClock() })
}

/** A body that never ends, and counts how much of it was taken. */
function endless(): { response: Response; taken: () => number } {
  let taken = 0
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => {
      taken += 1000
      controller.enqueue(new Uint8Array(1000))
    },
  })
  return { response: new Response(body), taken: () => taken }
}

describe('transport', () => {
  it('gives status, headers and the whole body', async () => {
    const response = new Response('hello', { headers: { 'x-a': 'b' } })
    const answer = await transport(async () => response).ask(URL, { maxBytes: 5 })
    expect(answer.status).toBe(200)
    expect(answer.headers.get('x-a')).toBe('b')
    expect(new TextDecoder().decode(answer.body)).toBe('hello')
  })

  it('sends method, body and headers, those of every request too', async () => {
    let seen: RequestInit = {}
    const client = new Transport({
      headers: { authorization: 'Bearer x' },
      fetch: async (_, init) => {
        seen = init
        return new Response(null, { status: 202 })
      },
    })
    const body = Uint8Array.of(1)
    await client.ask(URL, { method: 'POST', body, headers: { accept: 'a/b' }, expect: [202], maxBytes: 0 })
    expect(seen).toMatchObject({
      method: 'POST',
      body,
      headers: { authorization: 'Bearer x', accept: 'a/b' },
    })
  })

  it('passes by the caches only where it must', async () => {
    const seen: (string | undefined)[] = []
    const client = transport(async (_, init) => {
      seen.push((init as { cache?: string }).cache)
      return new Response()
    })
    await client.ask(URL, { maxBytes: 0 })
    await client.ask(URL, { maxBytes: 0, fresh: true })
    expect(seen).toEqual([undefined, 'no-store'])
  })

  it('takes a limit that no timer can count for no limit', async () => {
    const answer = await transport(async () => new Response('x'), Infinity).ask(URL, { maxBytes: 1 })
    expect(answer.status).toBe(200)
  })

  it('gives up a body above the limit instead of reading it to the end', async () => {
    const { response, taken } = endless()
    const asked = transport(async () => response).ask(URL, { maxBytes: 10_000 })
    await expect(asked).rejects.toMatchObject({ code: 'unexpected_answer' })
    expect(taken()).toBeLessThan(20_000)
  })

  it('does not read an endless error either', async () => {
    const { response, taken } = endless()
    const failed = new Response(response.body, { status: 500 })
    const asked = transport(async () => failed).ask(URL, { maxBytes: 10 })
    await expect(asked).rejects.toMatchObject({ code: 'unexpected_answer' })
    expect(taken()).toBeLessThan(100_000)
  })

  it.each([
    ['never answers', () => new Promise<Response>(() => {})],
    [
      'never ends its body',
      async () => new Response(new ReadableStream({ pull: () => new Promise(() => {}) })),
    ],
  ])('calls a server that %s unreachable', async (_, fetch) => {
    const asked = transport(fetch, 20).ask(URL, { maxBytes: 10 })
    await expect(asked).rejects.toMatchObject({ code: 'unreachable', message: `${URL}: no answer in 20 ms` })
  })

  it('names the reason that the platform hides in the cause', async () => {
    const refused = new TypeError('fetch failed', { cause: new Error('connect ECONNREFUSED 127.0.0.1:1') })
    const asked = transport(() => Promise.reject(refused)).ask(URL, { maxBytes: 10 })
    await expect(asked).rejects.toMatchObject({
      code: 'unreachable',
      message: `${URL}: connect ECONNREFUSED 127.0.0.1:1`,
      cause: refused,
    })
  })

  it("throws the signal's reason when the caller gives up", async () => {
    const reason = new Error('enough')
    const controller = new AbortController()
    const asked = transport(() => new Promise(() => {})).ask(URL, { maxBytes: 10, signal: controller.signal })
    controller.abort(reason)
    await expect(asked).rejects.toBe(reason)
    const late = transport(async () => new Response()).ask(URL, { maxBytes: 10, signal: controller.signal })
    await expect(late).rejects.toBe(reason)
  })
})

describe('refusals', () => {
  const refuse = (response: Response) => transport(async () => response).ask(URL, { maxBytes: 10 })

  it('carry the code, the sentence and the pause that the log gave', async () => {
    const refusal = problem(503, 'overloaded', 'the queue is full', { 'retry-after': '7' })
    await expect(refuse(refusal)).rejects.toMatchObject({
      code: 'overloaded',
      message: `GET ${URL}: status 503: the queue is full`,
      retryAfterSeconds: 7,
    })
  })

  it.each(['fork', 'bad_proof', 'internal', 'locked', 'toString', 'no such code'])(
    'do not let a server speak of %s',
    async (code) => {
      await expect(refuse(problem(500, code, 'x'))).rejects.toMatchObject({ code: 'unexpected_answer' })
    },
  )

  it.each([
    [404, 'not_found'],
    [429, 'rate_limited'],
    [503, 'unreachable'],
    [502, 'unreachable'],
    [403, 'unexpected_answer'],
    [500, 'unexpected_answer'],
  ])('with status %i and nothing else mean %s', async (status, code) => {
    await expect(refuse(new Response('<html>', { status }))).rejects.toMatchObject({ code })
  })

  it.each(['', '{', 'null', '[]', '{"code":5,"detail":{}}', '"x"'])(
    'with a broken document %j go by status',
    async (body) => {
      const response = new Response(body, {
        status: 404,
        headers: { 'content-type': 'application/problem+json' },
      })
      await expect(refuse(response)).rejects.toMatchObject({
        code: 'not_found',
        message: `GET ${URL}: status 404`,
      })
    },
  )

  it('are shown without control characters and not at any length', async () => {
    const error = await refuse(problem(400, 'malformed', `\u001b[31m${'x'.repeat(10_000)}`)).catch(
      (e: Error) => e,
    )
    expect((error as Error).message.length).toBeLessThan(200)
    expect((error as Error).message).not.toContain('\u001b')
  })
})

describe('Retry-After', () => {
  const now = Date.parse('2026-11-21T00:00:00Z')
  it.each([
    ['0', 0],
    ['120', 120],
    ['Sat, 21 Nov 2026 00:00:30 GMT', 30],
    ['Fri, 20 Nov 2026 00:00:00 GMT', 0],
    ['-5', undefined],
    ['1e3', undefined],
    ['soon', undefined],
    ['', undefined],
    [null, undefined],
  ])('%j is %j seconds', (value, seconds) => {
    expect(parseRetryAfter(value, now)).toBe(seconds)
  })
})

describe('apiKey', () => {
  const sent: unknown[] = []
  const echo: Fetch = async (_, init) => {
    sent.push((init.headers as Record<string, string>)['authorization'])
    return problem(401, 'unauthenticated', `you sent ${String(sent.at(-1))}`)
  }
  const ask = (apiKey: string | (() => string | Promise<string>)) =>
    new Transport({ fetch: echo, apiKey }).ask(URL, { maxBytes: 10 })

  it('is sent with every request, the one that a function gives now, and is not repeated', async () => {
    let made = 0
    for (const key of ['st_a', () => `st_${++made}`, async () => `st_${++made}`]) {
      const error = await ask(key).catch((e: unknown) => e as Error)
      expect(error).toMatchObject({ code: 'unauthenticated', message: expect.not.stringContaining('st_') })
    }
    expect(sent).toEqual(['Bearer st_a', 'Bearer st_1', 'Bearer st_2'])
  })

  it('is refused, without being repeated, where it can be none', async () => {
    for (const key of ['', 'two words', 'st_a\n', 'ключ']) {
      expect(() => new Transport({ apiKey: key })).toThrow('apiKey: expected visible ASCII')
      await expect(ask(() => key)).rejects.toMatchObject({
        code: 'usage',
        message: 'apiKey: expected visible ASCII characters without spaces',
      })
    }
    expect(() => new Transport({ apiKey: 'a', headers: { Authorization: 'Bearer b' } })).toThrow('got both')
  })

  it('that a function does not give is a log that cannot be asked', async () => {
    const gone = new Transport({ apiKey: () => Promise.reject(new Error('the vault is sealed')) })
    await expect(gone.ask(URL, { maxBytes: 10 })).rejects.toMatchObject({
      code: 'unreachable',
      message: `${URL}: the vault is sealed`,
    })
    const slow = new Transport({ apiKey: () => new Promise(() => {}), timeoutMs: 20 })
    await expect(slow.ask(URL, { maxBytes: 10 })).rejects.toMatchObject({ code: 'unreachable' })
  })
})
