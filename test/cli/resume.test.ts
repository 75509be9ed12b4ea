import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { dataFolder, lines, serve, stele, type Served } from './fixture.ts'

/** Stands between a client and a log, and cuts one connection at the worst moment. */
async function cuttingProxy(
  served: Served,
  cut: { batch: number; when: 'request' | 'answer'; downFor?: number },
): Promise<string[]> {
  const { hostname, port } = new URL(served.url)
  let batches = 0
  let down = 0
  const proxy = createServer((client) => {
    if (down-- > 0) return void client.destroy()
    const server = connect(Number(port), hostname)
    let doomed = false
    const end = (socket: Socket): void => void socket.destroy()
    client.on('data', (bytes: Buffer) => {
      if (/^POST \S+v1\/batches/.test(bytes.toString('latin1')) && ++batches === cut.batch) doomed = true
      if (doomed && cut.when === 'request') return end(client)
      server.write(bytes)
    })
    server.on('data', (bytes: Buffer) => {
      if (!doomed) return void client.write(bytes)
      down = cut.downFor ?? 0
      end(client)
    })
    client.on('close', () => end(server)).on('error', () => {})
    server.on('close', () => end(client)).on('error', () => {})
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void proxy.close())
  const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}/logs/main`
  return ['--url', url, '--key', served.key]
}

const numbers = (n: number): string => Array.from({ length: n }, (_, i) => `${i}\n`).join('')

test('a lost answer and a log that is down for a moment: sent again, nothing twice', async () => {
  const served = await serve(await dataFolder())
  const flags = await cuttingProxy(served, { batch: 2, when: 'answer', downFor: 2 })
  const added = await stele(['add', '--lines', '--batch', '10', ...flags], { stdin: lines(25) })
  expect(added).toMatchObject({ code: 0, out: numbers(25) })
  expect(served.server.logs.get('main')!.log!.published.size).toBe(25)
})

test('a log that allows duplicates is asked where it stands before anything is sent again', async () => {
  const served = await serve(await dataFolder({ allowDuplicates: true }))
  await stele(['add', '--lines', ...served.flags], { stdin: lines(25) })
  const flags = await cuttingProxy(served, { batch: 2, when: 'answer' })
  const added = await stele(['add', '--lines', '--batch', '10', ...flags], { stdin: lines(25) })
  expect(added.code).toBe(0)
  expect(added.out).toBe(numbers(50).slice(numbers(25).length))
  expect(added.err).toContain('the log has the batch from index 35 on')
  expect(served.server.logs.get('main')!.log!.published.size).toBe(50)
})

test('a batch that a log with duplicates does not have stops the run, with advice how to go on', async () => {
  const served = await serve(await dataFolder({ allowDuplicates: true }))
  const flags = await cuttingProxy(served, { batch: 2, when: 'request' })
  const stopped = await stele(['add', '--lines', '--batch', '10', ...flags], { stdin: lines(25) })
  expect([stopped.code, stopped.out]).toEqual([20, numbers(10)])
  expect(stopped.err).toMatch(/10 entries of this run are in the log[^]*--skip 10, or --skip 20/)
  const rest = await stele(['add', '--lines', '--skip', '10', ...flags], { stdin: lines(25) })
  expect(rest.out).toBe(numbers(25).slice(numbers(10).length))
})

test('a log that is not there is said to be unreachable soon', async () => {
  const { key } = await dataFolder()
  const { code, err } = await stele(['add', '--url', 'http://127.0.0.1:6961/logs/main', '--key', key], {
    stdin: 'x',
  })
  expect(code).toBe(20)
  expect(err).toContain('ECONNREFUSED')
})
