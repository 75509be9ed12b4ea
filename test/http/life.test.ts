import { describe, expect, test } from 'vitest'
import { LogKeys, LogList, Problem, Readiness } from '../../src/http/schemas.ts'
import { openTestLog, TEST_NOW_MS } from '../support/log.ts'
import { serve } from './server.ts'

const NEXT = 'https://log.example/logs/next'

describe('a frozen log over HTTP', () => {
  test('answers 410 to every write, with its successor in the problem and in a Link', async () => {
    const hosted = await openTestLog()
    await hosted.add('a')
    await hosted.log.freeze({ successor: NEXT })
    const server = await serve([hosted])
    const ndjson = { 'content-type': 'application/x-ndjson' }
    for (const reply of [
      await server.post('/logs/demo/add', 'b'),
      await server.post('/logs/demo/v1/entries', 'a'),
      await server.post('/logs/demo/v1/batches', '"b"\n', ndjson),
    ]) {
      expect(reply.status).toBe(410)
      expect(reply.headers['link']).toBe(`<${NEXT}>; rel="successor-version"`)
      expect(Problem.parse(reply.json())).toMatchObject({ code: 'frozen', successor: NEXT })
    }
  })

  test('has no Link without a successor, and goes on to be read', async () => {
    const hosted = await openTestLog()
    await hosted.add('a', 'b')
    await hosted.log.freeze()
    const server = await serve([hosted])
    const reply = await server.post('/logs/demo/v1/entries', 'c')
    expect(reply.status).toBe(410)
    expect(reply.headers['link']).toBeUndefined()
    expect(reply.json()).not.toHaveProperty('successor')
    expect((await server.get('/logs/demo/checkpoint')).text).toMatch(/^log\.example\/logs\/demo\n2\n/)
    expect((await server.get('/logs/demo/v1/proofs/inclusion?index=0')).status).toBe(200)
    expect((await server.get('/logs/demo/v1/proofs/consistency?old=1&new=2')).status).toBe(200)
    expect((await server.get('/logs/demo/ct/v1/get-sth')).json()).toMatchObject({ tree_size: 2 })
  })

  test('is ready at any age, and says that it is frozen', async () => {
    const hosted = await openTestLog()
    await hosted.log.freeze({ successor: NEXT })
    const server = await serve([hosted], { nowMs: () => TEST_NOW_MS + 1e12 })
    const reply = await server.get('/readyz')
    expect(reply.status).toBe(200)
    expect(Readiness.parse(reply.json()).logs).toMatchObject([{ ready: true, state: 'frozen' }])
    const [log] = LogList.parse((await server.get('/v1/logs')).json()).logs
    expect(log).toMatchObject({ state: 'frozen', successor: NEXT })
    expect((await server.get('/')).text).toContain('frozen')
  })
})

describe('the keys of a log over HTTP', () => {
  test('are listed with their times, and what old ones say of new ones is a file', async () => {
    const hosted = await openTestLog()
    const [first] = hosted.keys
    const moment = { treeSize: 3, timestampMs: TEST_NOW_MS }
    const second = { verifierKey: 'log.example/logs/demo+00000000+AQ==', since: moment }
    const keys = [{ ...first!, retired: moment, overlapUntilSeconds: 7 }, second]
    const server = await serve([{ ...hosted, log: hosted.log, keys, rotations: 'statements\n' }])
    const listed = LogKeys.parse((await server.get('/logs/demo/v1/keys')).json())
    expect(listed.keys.map(({ state }) => state)).toEqual(['retired', 'active'])
    expect(listed).toMatchObject({ origin: hosted.origin, rotations: 'statements\n' })
    const file = await server.get('/logs/demo/v1/keys/rotations')
    expect(file.text).toBe('statements\n')
    expect(file.headers['content-type']).toMatch(/^text\/plain/)
    const [log] = LogList.parse((await server.get('/v1/logs')).json()).logs
    expect(log).toMatchObject({ verifierKey: first!.verifierKey, verifierKeys: [second.verifierKey] })
  })
})
