import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { loadConfig } from '../../src/config/config.ts'
import { createServer as startServer } from '../../src/server/start.ts'
import { VKEY } from '../client/fake-log.ts'
import { testFolder } from '../support/folder.ts'
import { dataFolder, stele } from './fixture.ts'

test('meta with the URL of a log asks for the meta log of its server', async () => {
  const asked: (string | undefined)[] = []
  const server = createServer((req, res) => {
    asked.push(req.url)
    res.writeHead(404).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/prefix`
  for (const [at, path] of [
    [`${url}/logs/main`, '/prefix/logs/meta/checkpoint'],
    [`${url}/logs/main/`, '/prefix/logs/meta/checkpoint'],
    [url, '/prefix/logs/meta/checkpoint'],
  ]) {
    asked.length = 0
    expect((await stele(['meta', '--url', at!, '--key', VKEY])).code).toBe(4)
    expect(asked).toEqual([path])
  }
  const without = await stele(['meta', '--url', `${url}/logs/main`])
  expect(without.code).toBe(2)
  expect(without.err).toContain('"stele log show meta" prints it')
})

test.each([
  [['key', 'create', '--role', 'writer', '--log', 'main', '--label', 'two words']],
  [['key', 'list']],
  [['meta', '--all']],
  [['log', 'freeze', 'main']],
  [['log', 'create', 'x']],
])('%j on a folder that a server has open, or that is not there, gives the command to run', async (args) => {
  const { data } = await dataFolder()
  expect((await stele(['access', 'init', '--data', data])).code).toBe(0)
  const config = loadConfig({ flags: { data, port: 0, 'log-level': 'silent' } })
  const server = await startServer(config, pino({ level: 'silent' }))
  onTestFinished(() => server.close())
  const quoted = args.map((word) => (word.includes(' ') ? `'${word}'` : word)).join(' ')
  for (const at of [data, join(testFolder(), 'none')]) {
    const ran = await stele([...args, '--data', at], {
      env: { STELE_URL: 'http://log.example:1/logs/main' },
    })
    expect([4, 30, 32], ran.err).toContain(ran.code)
    expect(ran.err).toContain(`  stele ${quoted} --data ${at} --server http://log.example:1\n`)
  }
})
