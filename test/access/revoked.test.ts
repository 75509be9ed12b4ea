import { Agent, request } from 'node:http'
import { expect, test } from 'vitest'
import { HOST, Stage } from './stage.ts'

test('a key that is revoked is refused at the next request of a connection that is open', async () => {
  const stage = await Stage.open()
  const { key, id } = await stage.key('writer')
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const sockets = new Set<unknown>()
  const append = (n: number): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${key}` }
      const sent = request(
        { port: stage.port, method: 'POST', path: '/logs/public/add', agent, headers },
        (res) => {
          sockets.add(res.socket)
          res.resume().on('end', () => resolve(res.statusCode))
        },
      )
      sent.on('error', reject).end(`entry ${n}`)
    })
  for (let round = 0; round < 5; round++) expect(await append(round)).toBe(200)
  expect((await stage.ask('POST', `/v1/keys/${id}/revoke`, { key: stage.provisioning })).status).toBe(200)
  expect([await append(6), await append(7)]).toEqual([401, 401])
  expect(sockets.size).toBe(1)
  agent.destroy()
})

test('on one connection every request is judged by its own key, whatever came before it', async () => {
  const stage = await Stage.open()
  const [{ key: writer }, { key: reader }] = [await stage.key('writer'), await stage.key('reader')]
  const mistyped = `${writer.slice(0, -1)}${writer.endsWith('a') ? 'b' : 'a'}`
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const append = (key?: string): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const headers = key === undefined ? {} : { authorization: `Bearer ${key}` }
      const options = { port: stage.port, method: 'POST', path: '/logs/public/add', agent, headers }
      const sent = request(options, (res) => res.resume().on('end', () => resolve(res.statusCode)))
      sent.on('error', reject).end('entry')
    })
  const found: (number | undefined)[] = []
  for (const key of [writer, reader, writer, mistyped, undefined, `${writer}x`, writer, writer.slice(1)]) {
    found.push(await append(key))
  }
  expect(found).toEqual([200, 403, 200, 401, 401, 401, 200, 401])
  agent.destroy()
})

test('a long poll that was admitted ends, and the next one is refused', async () => {
  const stage = await Stage.open()
  const { key, id } = await stage.key('reader')
  const { key: writer } = await stage.key('writer')
  const poll = () => stage.ask('GET', '/logs/closed/v1/checkpoint?after=0&timeout=20', { key })
  const first = poll()
  // Its admission is over before that of a request which came later, whose answer is here.
  await stage.ask('GET', '/healthz', { key })
  await stage.keyring.revoke(HOST, id)
  expect((await poll()).code).toBe('unauthenticated')
  expect((await stage.ask('POST', '/logs/closed/add', { key: writer, body: 'x' })).status).toBe(200)
  expect((await first).status).toBe(200)
  const told = (await stage.lines()).filter(({ route }) => route === 'GET /logs/{log}/v1/checkpoint')
  expect(told.map(({ kind, status, who }) => [kind, status, who])).toEqual([
    ['denied', 401, id],
    ['request', 200, id],
  ])
})

test('of two keys in a rotation each is good until its own end, and no moment longer', async () => {
  const stage = await Stage.open()
  const { key, id } = await stage.key('reader')
  const { key: next } = await stage.keyring.rotate(HOST, id, 60_000)
  const statuses = async () =>
    Promise.all(
      [key, next].map(
        async (one) => (await stage.ask('GET', '/logs/closed/checkpoint', { key: one })).status,
      ),
    )
  expect(await statuses()).toEqual([200, 200])
  stage.pass(59_999)
  expect(await statuses()).toEqual([200, 200])
  stage.pass(1)
  expect(await statuses()).toEqual([401, 200])
  await expect(stage.keyring.rotate(HOST, id, 0)).rejects.toMatchObject({ code: 'usage' })
})

test('two who revoke and rotate one key at the same moment: it is ended, whoever came first', async () => {
  const stage = await Stage.open()
  const { key, id } = await stage.key('reader')
  await Promise.allSettled([
    stage.keyring.rotate(HOST, id, 60_000),
    stage.keyring.revoke(HOST, id),
    stage.keyring.rotate(HOST, id, 60_000),
  ])
  expect((await stage.ask('GET', '/healthz', { key })).status).toBe(401)
  const acts = (await stage.lines()).filter(({ kind }) => kind === 'admin').map(({ act }) => act)
  expect(acts).toEqual(['key_create', 'key_rotate', 'key_revoke'])
})
