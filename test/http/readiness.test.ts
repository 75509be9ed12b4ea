import { describe, expect, test } from 'vitest'
import { SteleError } from '../../src/errors.ts'
import { problemOf, withoutPaths } from '../../src/http/errors.ts'
import { Readiness } from '../../src/http/schemas.ts'
import { openTestLog, type TestLog } from '../support/log.ts'
import { serve } from './server.ts'

describe('readyz', () => {
  test('says no when the published head does not verify with the log’s own key', async () => {
    const hosted = await openTestLog()
    const { checkpoint } = hosted.log.published
    const spoil = (published: object): TestLog => ({
      ...hosted,
      log: Object.create(hosted.log, {
        published: { value: { ...hosted.log.published, ...published } },
        status: { value: hosted.log.status },
      }) as TestLog['log'],
    })
    for (const published of [
      { checkpoint: checkpoint.replace(/.{8}\n$/, 'AAAAAAA=\n') },
      { checkpoint: checkpoint.replace('\n0\n', '\n1\n') },
      { size: 1 },
    ]) {
      const reply = await (await serve([spoil(published)])).get('/readyz')
      expect(reply.status).toBe(503)
      expect(reply.json()).toMatchObject({
        logs: [{ ready: false, reason: expect.stringMatching(/published (head|checkpoint)/) as string }],
      })
    }
    expect((await (await serve([spoil({})])).get('/readyz')).status).toBe(200)
  })

  test('names a log whose write has waited for the disk too long', async () => {
    const hosted = await openTestLog()
    const waiting = async (writePendingMs: number): Promise<number> => {
      const status = { ...hosted.log.status, writePendingMs }
      const { published } = hosted.log
      const replaced = { published: { value: published }, status: { value: status } }
      const log = Object.create(hosted.log, replaced) as TestLog['log']
      const reply = await (await serve([{ ...hosted, log }])).get('/readyz')
      const [first] = Readiness.parse(reply.json()).logs
      expect(first!.reason ?? '').toContain(reply.status === 200 ? '' : 'a write has waited for 12 s')
      return reply.status
    }
    expect(await waiting(9_999)).toBe(200)
    expect(await waiting(12_345)).toBe(503)
  })

  test.each([
    [1000, 200, { ready: true, freeBytes: 1000, minFreeBytes: 1000 }],
    [999, 503, { ready: false, reason: 'the disk has less free space than min-free-bytes' }],
    [undefined, 503, { ready: false, reason: 'the free space of the disk is unknown' }],
  ])('with %s bytes free of the 1000 that are asked for says %i', async (free, status, disk) => {
    const room = { freeBytes: async () => free, minFreeBytes: 1000 }
    const reply = await (await serve([await openTestLog()], { disk: room })).get('/readyz')
    expect(reply.status).toBe(status)
    expect(Readiness.parse(reply.json()).disk).toMatchObject(disk)
  })
})

describe('what leaves the server', () => {
  const secret = '/var/lib/stele data/logs/main'
  test.each([
    [`${secret}/log.skey: expected permissions 600`, '(a file of the log): expected permissions 600'],
    [`IO error: ${secret}/000005.log: No space left`, 'IO error: (a file of the log): No space left'],
    [`ENOENT: no such file, open '${secret}/head'`, "ENOENT: no such file, open '(a file of the log)'"],
    [String.raw`C:\stele\logs: it is locked`, '(a file of the log): it is locked'],
    ['the database ends at size 3, but 5 was signed', 'the database ends at size 3, but 5 was signed'],
    ['log log.example.com/logs/main: head and/or root', 'log log.example.com/logs/main: head and/or root'],
  ])('names no path: %s', (message, left) => {
    expect(withoutPaths(message)).toBe(left)
  })

  test('names none in a refusal, in v1/logs, in readyz, or on the page of logs', async () => {
    const failure = new SteleError('locked', `${secret}: another process has it open`)
    const broken = { ...(await openTestLog()), name: 'broken', log: undefined, failure }
    const server = await serve([broken])
    for (const path of ['/logs/broken/checkpoint', '/v1/logs', '/readyz', '/']) {
      const { text } = await server.get(path)
      expect(text).toContain('another process has it open')
      expect(text).not.toContain('/var/lib')
    }
    expect(problemOf(new SteleError('log_halted', `IO error: ${secret}/x: gone`)).detail).toBe(
      'IO error: (a file of the log): gone',
    )
    expect(problemOf(new SteleError('not_found', 'no such route: "/etc"')).detail).toContain('"/etc"')
  })
})
