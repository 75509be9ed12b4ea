import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { SteleError, type ErrorCode } from '../../src/errors.ts'
import type { Exchange } from '../../src/http/trail.ts'
import { requestLog } from '../../src/http/request-log.ts'
import { openTestLog } from '../support/log.ts'
import { serve } from './server.ts'

interface Line {
  readonly level: string
  readonly [field: string]: unknown
}

function keeper(): { lines: Line[]; logger: Required<Parameters<typeof requestLog>[0]> } {
  const lines: Line[] = []
  const at = (level: string) => (fields: object, msg: string) => void lines.push({ level, ...fields, msg })
  return { lines, logger: { info: at('info'), warn: at('warn'), error: at('error') } }
}

describe('a request has a name', () => {
  test('the one that its caller gave it, if that is harmless', async () => {
    const server = await serve([await openTestLog()])
    for (const name of ['a', 'trace-1.2_3', 'x'.repeat(64)]) {
      expect((await server.get('/healthz', { 'X-Request-Id': name })).headers['x-request-id']).toBe(name)
    }
    for (const name of ['', 'a b', 'x'.repeat(65), '{"a":1}', 'a,b', 'ä']) {
      const given = (await server.get('/logs/demo/checkpoint', { 'X-Request-Id': name })).headers
      expect(given['x-request-id']).toMatch(/^[A-Za-z0-9_-]{16}$/)
    }
  })

  test('else one of its own, which is in the line about its refusal', async () => {
    const { lines, logger } = keeper()
    const server = await serve([await openTestLog()], { logger })
    const replies = [await server.get('/logs/demo/tile/0/000'), await server.get('/nowhere')]
    const names = replies.map(({ headers }) => headers['x-request-id'])
    expect(new Set(names).size).toBe(2)
    await expect.poll(() => lines.length).toBe(2)
    expect(lines).toMatchObject([
      { level: 'info', requestId: names[0], code: 'not_found', status: 404, log: 'demo', method: 'GET' },
      { level: 'info', requestId: names[1], code: 'not_found', status: 404, route: 'none' },
    ])
  })
})

describe('the log of requests', () => {
  const answered = (code: ErrorCode | undefined, tookMs = 1, path = '/x'): Exchange =>
    ({
      route: { path },
      call: { req: { method: 'GET' }, path: {} },
      answer: { status: 200 },
      error: code && new SteleError(code, 'why'),
      tookMs,
      requestId: 'r',
    }) as unknown as Exchange

  test('a flood of refusals is a few lines and a count, for each code and second', () => {
    vi.useFakeTimers()
    onTestFinished(() => void vi.useRealTimers())
    const { lines, logger } = keeper()
    const tell = requestLog(logger, 0)
    for (let i = 0; i < 1000; i++) tell(answered('overloaded'))
    tell(answered('rate_limited'))
    expect(lines).toHaveLength(6)
    vi.advanceTimersByTime(1000)
    expect(lines).toHaveLength(7)
    expect(lines[6]).toMatchObject({ level: 'warn', code: 'overloaded', refused: 995 })
    tell(answered('overloaded'))
    expect(lines[7]).toMatchObject({ code: 'overloaded', msg: 'why' })
    vi.advanceTimersByTime(5000)
    expect(lines).toHaveLength(8)
  })

  test('only what went wrong here comes with its stack', () => {
    const { lines, logger } = keeper()
    const tell = requestLog(logger, 0)
    for (const code of ['internal', 'overloaded', 'malformed'] as const) tell(answered(code))
    expect(lines.map(({ level, err }) => [level, err instanceof Error])).toEqual([
      ['error', true],
      ['warn', false],
      ['info', false],
    ])
  })

  test('slow requests have a line, and those that were asked to wait have none', () => {
    const { lines, logger } = keeper()
    const tell = requestLog(logger, 100)
    tell(answered(undefined, 99))
    tell(answered(undefined, 100))
    tell(answered(undefined, 60_000, '/logs/{log}/v1/checkpoint'))
    requestLog(logger, 0)(answered(undefined, 1e6))
    expect(lines).toMatchObject([{ level: 'warn', msg: 'slow request', tookMs: 100 }])
  })
})
