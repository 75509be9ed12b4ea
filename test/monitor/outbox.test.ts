import { createHmac } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { parseBase64 } from '../../src/bytes/base64.ts'
import { decodeUtf8, encodeUtf8 } from '../../src/bytes/text.ts'
import { createWebhook, type DeliveryReport, Outbox, webhookSigner } from '../../src/monitor/delivery.ts'
import type { Finding } from '../../src/monitor/finding.ts'
import { createMatcher } from '../../src/monitor/matcher.ts'
import { formatSigningKey } from '../../src/note/key.ts'
import { FakeClock, KEY, ORIGIN } from '../client/fake-log.ts'
import { stage } from './stage.ts'

const SECRET = 'a secret of some length'
const HOOK = 'https://hooks.example/secret-path'

const finding = (id: string, kind: Finding['kind'] = 'match'): Finding => ({
  id,
  kind,
  log: ORIGIN,
  url: 'https://log.example',
  foundAt: '2026-01-01T00:00:00.000Z',
  message: id,
  detail: {},
})

/** A receiver that answers as it is told to, and then with 204. */
function receiver(answers: (number | Error)[] = []) {
  const clock = new FakeClock()
  const got: { headers: Headers; body: string }[] = []
  const reports: DeliveryReport[] = []
  const printed: string[] = []
  const fetch = async (_: string, init: RequestInit): Promise<Response> => {
    got.push({ headers: new Headers(init.headers), body: decodeUtf8(init.body as Uint8Array, 'body') })
    const answer = answers.shift() ?? 204
    if (answer instanceof Error) throw answer
    return new Response(null, { status: answer })
  }
  const hook = (url = HOOK, key = SECRET) => createWebhook(url, webhookSigner(key, 'key'), { fetch, clock })
  const outbox = (webhooks = [hook()]) =>
    new Outbox({
      webhooks,
      clock,
      print: async ({ id }) => void printed.push(id),
      onDelivery: (report) => void reports.push(report),
    })
  return { clock, got, reports, printed, hook, outbox }
}

describe('a webhook', () => {
  it('gets the finding signed by HMAC-SHA256, and the header says so', async () => {
    const { got, outbox, clock } = receiver()
    const box = outbox()
    await box.raise(finding('1'))
    await box.idle()
    const { headers, body } = got[0]!
    expect(JSON.parse(body)).toEqual(finding('1'))
    expect(headers.get('idempotency-key')).toBe('1')
    const [, seconds, value] = /^hmac-sha256; t=(\d+); v=([0-9a-f]{64})$/.exec(
      headers.get('stele-signature')!,
    )!
    expect(Number(seconds)).toBe(clock.ms / 1000)
    const expected = createHmac('sha256', SECRET)
      .update(`stele-webhook/v1\n${seconds}\n${body}`)
      .digest('hex')
    expect(value).toBe(expected)
  })

  it('gets it signed by Ed25519 where the key is one', async () => {
    const { got, outbox, hook } = receiver()
    const box = outbox([hook(HOOK, formatSigningKey(KEY))])
    await box.raise(finding('1'))
    await box.idle()
    const { headers, body } = got[0]!
    const [, seconds, value] = /^ed25519; t=(\d+); v=(\S+)$/.exec(headers.get('stele-signature')!)!
    const signature = parseBase64(value!, 'signature')
    expect(KEY.verifier.verify(`stele-webhook/v1\n${seconds}\n${body}`, signature)).toBe(true)
    expect(KEY.verifier.verify(`stele-webhook/v1\n${seconds}\n${body} `, signature)).toBe(false)
  })

  it('that fails is asked again, with longer and longer pauses, and each failure is told', async () => {
    const { got, outbox, reports, clock } = receiver([500, new Error('refused'), 404, 429])
    const box = outbox()
    await box.raise(finding('1'))
    await box.idle()
    expect(got).toHaveLength(5)
    expect(reports.map(({ outcome }) => outcome)).toEqual([
      'failed',
      'failed',
      'failed',
      'failed',
      'delivered',
    ])
    expect(reports[0]!.message).toContain('500')
    expect(clock.naps).toEqual([1_000, 2_000, 4_000, 8_000])
  })

  it('that refuses one finding gets the others', async () => {
    const { got, outbox } = receiver([400])
    const box = outbox()
    await Promise.all(['1', '2', '3'].map((id) => box.raise(finding(id))))
    await box.idle()
    expect(got.map(({ headers }) => headers.get('idempotency-key'))).toEqual(['1', '2', '3', '1'])
  })

  it('gets a finding once, however often it is found', async () => {
    const { got, outbox, printed } = receiver()
    const box = outbox()
    for (let i = 0; i < 3; i++) await box.raise(finding('1'))
    await box.idle()
    expect([got.length, printed]).toEqual([1, ['1']])
  })

  it('takes no secret that could be guessed, and no address that is none', () => {
    expect(() => webhookSigner('short', 'file')).toThrow('file: expected a secret of at least 16 bytes')
    expect(() => createWebhook('ftp://x', webhookSigner(SECRET, ''))).toThrow('http')
  })
})

describe('what was not delivered', () => {
  it('is in the saved state, and the next run delivers it', async () => {
    const dead = receiver(Array.from({ length: 1000 }, () => 503))
    const first = await stage(30, [dead.hook()])
    const matchers = [createMatcher({ contains: 'entry 17' })]
    const monitor = await first.start({ matchers })
    await monitor.round()
    await first.outbox.stop()
    await monitor.save()
    expect(first.outbox.waiting).toEqual([{ url: HOOK, count: 1 }])

    const alive = receiver()
    const second = await stage(30, [alive.hook()])
    second.store.states = first.store.states
    const next = await second.start({ matchers })
    await next.round()
    await second.outbox.idle()
    await next.save()
    expect(alive.got.map(({ headers }) => headers.get('idempotency-key'))).toEqual([first.printed[0]!.id])
    expect(second.printed).toEqual([])
    expect([...second.store.states.values()][0]).toContain('"undelivered": []')
  })

  it('makes way when there is too much of it: matches first, and it is told', async () => {
    const { hook, reports, clock } = receiver(Array.from({ length: 10 }, () => 503))
    const still = { nowMs: clock.nowMs, random: clock.random, sleep: () => new Promise<void>(() => {}) }
    const box = new Outbox({
      webhooks: [hook()],
      clock: still,
      print: async () => {},
      onDelivery: (report) => void reports.push(report),
    })
    await box.raise(finding('fork', 'fork'))
    for (let i = 0; i < 10_001; i++) await box.raise(finding(`m${i}`))
    const dropped = reports.filter(({ outcome }) => outcome === 'dropped')
    expect(dropped.map(({ finding: { id } }) => id)).toEqual(['m0', 'm1'])
    expect(box.waiting[0]!.count).toBe(10_000)
    expect(encodeUtf8(JSON.stringify(box.undelivered(ORIGIN))).length).toBeGreaterThan(1)
  })
})
