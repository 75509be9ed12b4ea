import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { redact } from '../../src/access/redact.ts'
import { createServerLog } from '../../src/http/server-log.ts'

function logged(write: (log: ReturnType<typeof createServerLog>) => void): Record<string, unknown>[] {
  const lines: string[] = []
  write(createServerLog('info', { write: (line) => void lines.push(line) }))
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>)
}

const KEY = 'st_live_Zm9v-YmFy_0123456789'

test('no line holds an API key, wherever it stood', () => {
  const error = new Error(`the key ${KEY} is none`)
  const [first, second] = logged((log) => {
    log.info({ deep: [{ key: KEY }], headers: { 'x-api-key': KEY } }, `somebody came with ${KEY}`)
    log.error({ err: error }, error.message)
  })
  expect(JSON.stringify([first, second])).not.toContain('Zm9v')
  expect(first).toMatchObject({ msg: 'somebody came with st_[redacted]' })
})

test('no line holds what a caller proved who it is with', () => {
  const lines = logged((log) => {
    log.info({ headers: { Authorization: 'Bearer abc.def', host: 'here' } }, 'one')
    log.info({ req: { headers: { authorization: 'Custom "quoted" words' } } }, 'two')
    log.info({ rawHeaders: ['authorization', 'Basic dXNlcjpwYXNz'] }, 'sent Bearer xyz12345')
    log.info({ headers: { 'proxy-authorization': ['Negotiate zzz'] } }, 'four')
  })
  expect(JSON.stringify(lines)).not.toMatch(/abc\.def|quoted|dXNlcjpwYXNz|xyz12345|zzz/)
  expect(lines[0]).toMatchObject({ headers: { host: 'here' } })
})

test('a line stays JSON whatever it holds, and keeps what is no secret', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (text, more) => {
      const line = JSON.stringify({ authorization: text, msg: more })
      expect(JSON.parse(redact(line))).toMatchObject({ authorization: '[redacted]' })
    }),
  )
  expect(redact('{"msg":"first_entry stays, and so does st_"}')).toBe(
    '{"msg":"first_entry stays, and so does st_"}',
  )
})
