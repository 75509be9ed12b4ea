import { execFile } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { openTestLog, type TestLog } from '../support/log.ts'
import { testFolder } from '../support/folder.ts'
import { serve } from '../http/server.ts'
import { ROOT, readText } from './repository.ts'

const PAGE = 'proto-docs/unreachable-log.md'

/** The sample of the page, as a program that uses this build, and a folder for it. */
function sampleIn(folder: string): string {
  const [, sample] = /<!-- sample: queue\.mjs -->\n```js\n([^]*?)```/.exec(readText(PAGE))!
  const client = pathToFileURL(join(ROOT, 'dist/client/index.js')).href
  const path = join(folder, 'queue.mjs')
  writeFileSync(path, sample!.replace("'stele/client'", JSON.stringify(client)))
  return path
}

/** Runs an application that uses the sample. @returns what it wrote to standard error */
async function run(folder: string, log: TestLog, url: string, program: string): Promise<string> {
  const env = {
    ...process.env,
    STELE_URL: url,
    STELE_KEY: log.verifierKey,
    AUDIT_QUEUE: join(folder, 'queue'),
    STELE_API_KEY: 'st_writer',
  }
  const text = `import { audit, close, deliverQueued } from ${JSON.stringify(pathToFileURL(sampleIn(folder)).href)}\n${program}`
  const { stderr } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', text], { env })
  return stderr
}

async function unusedUrl(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return `http://127.0.0.1:${port}/logs/demo/`
}

const usersIn = async ({ log }: TestLog): Promise<unknown[]> => {
  const { size } = log.published
  const entries = size === 0 ? [] : await log.readEntries(0, size)
  return entries.map((entry) => (JSON.parse(Buffer.from(entry).toString()) as { user: unknown }).user)
}

test('the sample keeps what a log that is down did not take, and logs it once when the log is back', async () => {
  const folder = testFolder()
  const log = await openTestLog()
  const login = `for (const user of ['a', 'b', 'c']) audit({ user, action: 'login' })\n`
  const down = await run(folder, log, await unusedUrl(), `${login}await deliverQueued()\nawait close()`)
  expect(down).toMatch(/^audit: 3 entries queued: unreachable: /)
  expect(readFileSync(join(folder, 'queue'), 'utf8').trim().split('\n')).toHaveLength(3)

  const { port } = await serve([log])
  const url = `http://127.0.0.1:${port}/logs/demo/`
  // As after a crash in the middle of sending: the first one arrived, and its file is still there.
  const queued = readFileSync(join(folder, 'queue'), 'utf8')
  await log.add(Buffer.from(queued.split('\n')[0]!, 'base64').toString())
  writeFileSync(join(folder, 'queue.sending'), queued)
  await run(folder, log, url, `await deliverQueued()\nawait deliverQueued()\nawait close()`)
  expect(await usersIn(log)).toEqual(['a', 'b', 'c'])
  expect(existsSync(join(folder, 'queue'))).toBe(false)

  // Equal events are entries of their own.
  expect(await run(folder, log, url, `${login}${login}await close()`)).toBe('')
  expect(await usersIn(log)).toEqual(['a', 'b', 'c', 'a', 'b', 'c', 'a', 'b', 'c'])
}, 90_000)
