import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { Problem } from '../../src/http/schemas.ts'
import { openTestLog } from '../support/log.ts'
import { serve, type Ask } from './server.ts'

/*
 * `scripts/*.http`: blocks that begin with "### name". Lines with ">" are the request: a request line, headers, an
 * empty one, the body. Then "< status code beginning of the detail", and "< name: value" for headers or for fields
 * of the problem.
 */
interface Exchange {
  readonly name: string
  readonly path: string
  readonly ask: Ask
  readonly status: number
  readonly code: string
  readonly detail: string
  readonly also: [name: string, value: string][]
}

function parseScript(text: string): Exchange[] {
  return text
    .split(/^### /m)
    .slice(1)
    .map((block) => {
      const [name = '', ...lines] = block.trimEnd().split('\n')
      const sent = lines.filter((line) => line.startsWith('>')).map((line) => line.slice(2))
      const [expected = '', ...also] = lines
        .filter((line) => line.startsWith('<'))
        .map((line) => line.slice(2))
      const [status = '', code = '', ...detail] = expected.split(' ')
      return {
        name,
        ...requestOf(sent),
        status: Number(status),
        code,
        detail: detail.join(' '),
        also: also.map((line) => line.split(/: (.*)/, 2) as [string, string]),
      }
    })
}

function requestOf([first = '', ...rest]: string[]): { path: string; ask: Ask } {
  const [method = '', path = ''] = first.split(' ')
  const empty = rest.indexOf('')
  const head = empty < 0 ? rest : rest.slice(0, empty)
  const headers = Object.fromEntries(head.map((line) => line.split(': ', 2) as [string, string]))
  return { path, ask: { method, headers, ...(empty < 0 ? {} : { body: rest.slice(empty + 1).join('\n') }) } }
}

const folder = new URL('scripts/', import.meta.url)

describe.each(readdirSync(folder))('%s', (file) => {
  const exchanges = parseScript(readFileSync(new URL(file, folder), 'utf8'))

  test.each(exchanges.map((exchange) => [exchange.name, exchange] as const))('%s', async (_, exchange) => {
    const hosted = await openTestLog()
    await hosted.add('L0', 'L1', 'L2', 'L3', 'L4', 'L5', 'L6')
    const server = await serve([hosted])
    const reply = await server.ask(exchange.path, exchange.ask)
    const problem = Problem.strict().parse(reply.json())
    expect(reply.headers['content-type']).toBe('application/problem+json')
    expect([reply.status, problem.status, problem.code]).toEqual([
      exchange.status,
      exchange.status,
      exchange.code,
    ])
    expect(problem.detail.slice(0, exchange.detail.length)).toBe(exchange.detail)
    for (const [name, value] of exchange.also) {
      expect([name, { ...problem, ...reply.headers }[name]]).toEqual([name, value])
    }
    // Whatever was refused has changed nothing.
    expect([hosted.log.integrated.size, hosted.log.status.queuedEntries]).toEqual([7, 0])
  })
})
