import { expect, onTestFinished, test } from 'vitest'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import { initAccess } from '../../src/instance/access-files.ts'
import { readLogInfo } from '../../src/instance/data-folder.ts'
import { generateLogKeys, keySigner } from '../../src/instance/keys.ts'
import { checkedEntries } from '../../src/log/checked-entries.ts'
import type { Log } from '../../src/log/log.ts'
import { beginLog } from '../../src/log/open.ts'
import { openLog, openLogOn, type OpenLogOptions } from '../../src/server/embedded-log.ts'
import { createServer } from '../../src/server/start.ts'
import { createHeadFile, openHeadFile } from '../../src/storage/head-file.ts'
import { MemoryLeafIndex } from '../../src/storage/leaf-index.ts'
import { MemoryStore } from '../../src/storage/memory.ts'
import { verifyProofFile } from '../../src/verify.ts'
import { testFolder } from '../support/folder.ts'

const ENTRY = encodeUtf8('an entry')

async function opened(folder: string, options?: OpenLogOptions): Promise<Log> {
  const log = await openLog(folder, options)
  onTestFinished(() => log.close())
  return log
}

test('a log is made only when that is asked for, and opened again with what it holds', async () => {
  const folder = `${testFolder()}/data`
  await expect(openLog(folder)).rejects.toMatchObject({ code: 'not_initialised' })
  const log = await openLog(folder, { create: true, origin: 'log.example/main' })
  const { placements } = await log.append([ENTRY])
  expect(placements[0]).toMatchObject({ index: 0, duplicate: false })
  await log.close()

  await expect(openLog(folder, { name: 'other' })).rejects.toMatchObject({ code: 'not_found' })
  await expect(openLog(folder, { origin: 'log.example/other' })).rejects.toMatchObject({
    code: 'wrong_origin',
  })
  const again = await opened(folder, { create: true })
  expect(again.published.size).toBe(1)
  expect(Buffer.from((await checkedEntries(again, 0, 1))[0]!.entry)).toEqual(Buffer.from(ENTRY))
  const { verifierKey } = await readLogInfo(folder, 'main')
  const proof = await again.proofFile(0)
  const check = { proof, entry: ENTRY, origin: 'log.example/main', verifierKeys: [verifierKey] }
  expect(verifyProofFile(check)).toMatchObject({ verdict: 'verified', index: 0, treeSize: 1 })
  await expect(openLog(folder)).rejects.toMatchObject({ code: 'locked' })
})

test('a data folder gets further logs, with settings of their own, and none by the name of the meta log', async () => {
  const folder = `${testFolder()}/data`
  await opened(folder, { create: true })
  const second = await opened(folder, {
    name: 'second',
    create: true,
    allowDuplicates: true,
    reads: 'public',
    nowMs: () => Date.UTC(2100, 0),
  })
  expect(second.origin).toBe('localhost:6962/logs/second')
  expect((await second.append([ENTRY, ENTRY])).placements.map(({ index }) => index)).toEqual([0, 1])
  expect(new Date(second.published.timestampMs).getUTCFullYear()).toBe(2100)
  expect(await readLogInfo(folder, 'second')).toMatchObject({ reads: 'public', allowDuplicates: true })
  for (const [options, code] of [
    [{ name: 'meta', create: true }, 'usage'],
    [{ name: '../x', create: true }, 'usage'],
    [{ name: 'third', create: true, origin: 'has space' }, 'malformed'],
  ] as const) {
    await expect(openLog(folder, options)).rejects.toMatchObject({ code })
  }
})

test('a server starts on the folder with plain options, and every mistake in them is told by its name', async () => {
  const data = `${testFolder()}/data`
  await (await openLog(data, { create: true })).close()
  await initAccess(data, 'localhost:6962/logs/meta')
  const server = await createServer({ data, port: 0 })
  try {
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200)
    const { log } = server.logs.get('main')!
    await log!.append([ENTRY])
    const checkpoint = await (await fetch(`${server.url}/logs/main/checkpoint`)).text()
    expect(checkpoint).toBe(log!.published.checkpoint)
  } finally {
    await server.close()
  }
  const mistakes = createServer({ data, port: -1, prot: 1, open: true, host: '0.0.0.0' } as never)
  await expect(mistakes).rejects.toMatchObject({
    code: 'usage',
    message: expect.stringMatching(
      /\n {2}prot: there is no such option.*\n {2}port: expected a whole number.*\n {2}open: /,
    ) as string,
  })
})

test('a log over storage of its own is begun once, and goes on where it was', async () => {
  const path = `${testFolder()}/head`
  const origin = 'log.example/own'
  const signer = keySigner(origin, await generateLogKeys(origin))
  const store = new MemoryStore()
  await createHeadFile(path, await beginLog(store, signer))
  await expect(beginLog(store, signer)).rejects.toMatchObject({ code: 'already_exists' })
  const open = async (): Promise<Log> =>
    openLogOn({ origin, signer, store, headFile: await openHeadFile(path), index: new MemoryLeafIndex() })
  store.close = async () => {}
  const log = await open()
  await log.append([ENTRY])
  await log.close()
  const again = await open()
  expect((await again.append([ENTRY])).placements).toMatchObject([{ index: 0, duplicate: true }])
  await again.close()
})
