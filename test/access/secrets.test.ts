import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import * as fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { generateApiKey } from '../../src/access/api-key.ts'
import type { MadeKey } from '../../src/access/keyring.ts'
import { redact } from '../../src/access/redact.ts'
import type { Actions } from '../../src/cli/action.ts'
import { processIo } from '../../src/cli/io.ts'
import { createProgram } from '../../src/cli/program.ts'
import { loadConfig } from '../../src/config/config.ts'
import { createServerLog } from '../../src/http/server-log.ts'
import { createServer } from '../../src/server/start.ts'
import { TestServer } from '../http/server.ts'
import { makeInstanceFolder } from '../support/instance-folder.ts'

/** Whatever a server says of itself, to anybody. */
interface Told {
  readonly server: TestServer
  readonly provisioning: string
  readonly data: string
  readonly lines: string[]
  meta(): Promise<string>
}

async function started(): Promise<Told> {
  const { data, provisioning } = await makeInstanceFolder(['main'])
  const lines: string[] = []
  const logger = createServerLog('debug', { write: (line) => void lines.push(line) })
  const config = loadConfig({ flags: { data, port: 0, 'open-metrics': true } })
  const server = await createServer(config, logger)
  onTestFinished(() => server.close())
  return {
    server: new TestServer(Number(new URL(server.url).port)),
    provisioning,
    data,
    lines,
    async meta() {
      const log = server.logs.get('meta')!.log!
      const pages = await log.readEntries(0, log.published.size)
      return pages.map((page) => new TextDecoder().decode(page)).join('')
    },
  }
}

const secretOf = (key: string): string => key.split('_')[3]!

test('an API key is found nowhere, wherever a caller put it', { timeout: 30_000 }, async () => {
  const { server, provisioning, data, lines, meta } = await started()
  const auth = { authorization: `Bearer ${provisioning}` }
  const stray = generateApiKey('writer').text
  const told: string[] = []
  const ask = async (path: string, more: object = {}): Promise<void> => {
    const { text, headers } = await server.ask(path, more)
    told.push(text, JSON.stringify(headers))
  }
  // In headers, alone and beside others, good and not good.
  for (const key of [provisioning, stray]) {
    await ask('/v1/logs', { headers: { authorization: `Bearer ${key}` } })
    await ask('/v1/logs', { headers: { authorization: key } })
    await ask('/v1/logs', { headers: { authorization: `Basic ${key}` } })
    await ask('/v1/logs', { headers: { ...auth, 'x-api-key': key, 'x-request-id': key.slice(0, 64) } })
    // In URLs.
    for (const path of [
      `/v1/logs?key=${key}`,
      `/${key}`,
      `/logs/${key}/checkpoint`,
      `/v1/keys/${key}/revoke`,
    ]) {
      await ask(path)
      await ask(path, { headers: auth })
      await ask(path, { method: 'POST', headers: auth })
    }
    await ask(`/logs/main/v1/entries?begin=%3D${key}`, { headers: auth })
    // In bodies that fail, as what is quoted of them.
    const bodies = [
      key,
      `{"a": ${key}}`,
      `{"${key}": 1}`,
      `{"role": "${key}", "logs": "*"}`,
      `{"role": "reader", "logs": ["${key}"]}`,
      `{"role": "reader", "logs": "*", "label": "${key}"}`,
      `{"role": "reader", "logs": "*", "addresses": ["${key.slice(0, 60)}"]}`,
      `{"role": "reader", "logs": "*", "expiresAt": "${key}"}`,
    ]
    for (const body of bodies) {
      for (const path of [
        '/v1/keys',
        '/v1/keys/x/rotate',
        '/logs/main/v1/batches',
        '/logs/main/v1/entries',
      ]) {
        await ask(path, { method: 'POST', headers: { ...auth, 'content-type': 'application/json' }, body })
      }
    }
  }
  const { text: metrics } = await server.get('/metrics')
  expect(metrics).toContain('route="/v1/keys/{id}/revoke",method="GET"')
  expect(metrics).not.toContain(stray.split('_')[2])
  told.push(metrics)
  await ask('/v1/keys', { headers: auth })
  const everything = {
    lines: lines.join(''),
    meta: await meta(),
    answers: told.join('\n'),
    stored: readFileSync(join(data, 'access.json'), 'utf8'),
  }
  expect(lines.length).toBeGreaterThan(20)
  for (const [where, text] of Object.entries(everything)) {
    for (const key of [provisioning, stray]) {
      // Twelve of its 52 letters are still no help to anybody, and still nothing that should be there.
      for (const part of [secretOf(key).slice(0, 12), secretOf(key).slice(-12)]) {
        expect(text.includes(part), `${where} has a part of a key`).toBe(false)
      }
    }
  }
})

test('what a body says is not repeated when it is no JSON, or not what was asked for', async () => {
  const { server, provisioning, lines } = await started()
  const headers = { authorization: `Bearer ${provisioning}` }
  for (const body of [
    '{"a": hunter2}',
    'hunter2',
    '{"hunter2": 1}',
    '{"role": "hunter2", "logs": "*"}',
    '"hunter2',
  ]) {
    const { status, text } = await server.ask('/v1/keys', { method: 'POST', headers, body })
    expect([status, text]).toEqual([400, expect.not.stringContaining('hunter2') as string])
  }
  expect(lines.join('')).not.toContain('hunter2')
})

test('a made key is in the answer that made it, and in nothing else', async () => {
  const { server, provisioning, lines, meta, data } = await started()
  const headers = { authorization: `Bearer ${provisioning}` }
  const body = JSON.stringify({ role: 'reader', logs: '*' })
  const { text } = await server.ask('/v1/keys', { method: 'POST', headers, body })
  const { key } = JSON.parse(text) as MadeKey
  const list = (await server.ask('/v1/keys', { headers })).text
  const all = [lines.join(''), await meta(), list, readFileSync(join(data, 'access.json'), 'utf8')].join('\n')
  expect(all).not.toContain(secretOf(key))
})

describe('what is cut out', () => {
  test('a key, whatever stands around it', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (before, after) => {
        const { text } = generateApiKey('reader')
        expect(redact(`${before}${text}${after}`)).not.toContain(secretOf(text))
      }),
    )
  })

  test.each([
    ['a token', 'x eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl y', 'c2lnbmF0dXJl'],
    ['a signing key', 'PRIVATE+KEY+log.example+1234abcd+AQ1234secret', 'secret'],
    ['a signing key in a URL', '?k=PRIVATE%2BKEY%2Blog.example%2B1234abcd%2BAQ1234secret', 'secret'],
    ['a key in PEM', '"-----BEGIN EC PRIVATE KEY-----\\nsecret\\n-----END EC PRIVATE KEY-----"', 'secret'],
  ])('%s', (_, text, secret) => expect(redact(text)).not.toContain(secret))

  test('no line makes it slow', () => {
    const parts = [
      'eyJ',
      'st_',
      'st_a_',
      '-----BEGIN ',
      'Bearer ',
      '"authorization":"',
      'PRIVATE+KEY+',
      'a',
      ' ',
      'A ',
    ]
    for (const part of parts) {
      const text = part.repeat(Math.ceil(100_000 / part.length))
      const beganMs = performance.now()
      redact(text)
      expect(performance.now() - beganMs, part).toBeLessThan(5000)
    }
  })
})

test('no flag takes a secret: whoever lists the processes of the machine would read it', () => {
  const actions = { of: () => () => Promise.resolve() } as unknown as Actions
  const commands: Command[] = [createProgram(actions, processIo())]
  for (const command of commands) commands.push(...command.commands)
  expect(commands.length).toBeGreaterThan(20)
  for (const command of commands) {
    for (const { flags, long = '' } of command.options) {
      if (!/key|secret|token|pass/.test(long ?? '') || !flags.includes('<')) continue
      // A verifier key is public, a file is not its content, and a number is none.
      expect(flags, command.name()).toMatch(/<(file|vkey|base64|value|id|key-id|n)\b|vkey/)
    }
  }
})
