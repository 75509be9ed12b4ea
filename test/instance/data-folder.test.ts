import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { createLog, initDataFolder, listLogs, readLogInfo } from '../../src/instance/data-folder.ts'
import { openStoredLog } from '../../src/instance/open-log.ts'
import { testFolder } from '../support/folder.ts'
import { SETTINGS, StoredLog, texts } from './fixture.ts'

test('a new data folder holds a log whose private keys its owner alone can read', async () => {
  const stored = await StoredLog.create()
  expect(await listLogs(stored.folder)).toEqual(['main'])
  expect(await readLogInfo(stored.folder, 'main')).toMatchObject({
    origin: 'log.example/main',
    verifierKey: expect.stringMatching(/^log\.example\/main\+[0-9a-f]{8}\+/) as string,
    allowDuplicates: false,
  })
  for (const key of [stored.files.checkpointKey, stored.files.treeHeadKey]) {
    expect(statSync(key).mode % 0o1000).toBe(0o600)
  }
  const log = await stored.open()
  expect(log.published.size).toBe(0)
  await log.close()
})

test('neither init nor log create overwrites anything', async () => {
  const stored = await StoredLog.create()
  const before = readFileSync(stored.files.checkpointKey, 'utf8')
  await expect(initDataFolder(stored.folder)).rejects.toMatchObject({ code: 'already_exists' })
  const again = createLog(stored.folder, { name: 'main', origin: 'other', allowDuplicates: false })
  await expect(again).rejects.toMatchObject({ code: 'already_exists' })
  expect(readFileSync(stored.files.checkpointKey, 'utf8')).toBe(before)
})

test('init refuses a folder with something else in it, and leaves that alone', async () => {
  const folder = testFolder()
  writeFileSync(`${folder}/holiday.jpg`, 'x')
  await expect(initDataFolder(folder)).rejects.toMatchObject({ code: 'foreign_format' })
  expect(readdirSync(folder)).toEqual(['holiday.jpg'])
})

test('opening never creates: a folder without a log is refused as it is', async () => {
  const folder = testFolder()
  await expect(listLogs(folder)).rejects.toMatchObject({ code: 'not_initialised' })
  await expect(openStoredLog(folder, 'main', SETTINGS)).rejects.toMatchObject({ code: 'not_found' })
  expect(readdirSync(folder)).toEqual([])
})

test.each([
  ['a newer version', '{"format":"stele data folder","version":2}'],
  ['another format', '{"format":"something else","version":1}'],
  ['no JSON', 'hello'],
])('a folder of %s is refused', async (_, text) => {
  const stored = await StoredLog.create()
  writeFileSync(`${stored.folder}/stele.json`, text)
  await expect(listLogs(stored.folder)).rejects.toMatchObject({ code: 'foreign_format' })
})

test.each(['', 'UPPER', '../up', 'a/b', '.dot', 'x'.repeat(64), 'a b'])(
  'the log name "%s" is refused',
  async (name) => {
    const stored = await StoredLog.create()
    const creating = createLog(stored.folder, { name, origin: 'o', allowDuplicates: false })
    await expect(creating).rejects.toMatchObject({ code: 'usage' })
    expect(await listLogs(stored.folder)).toEqual(['main'])
  },
)

test('half a log is refused by name, and what a cut-short creation left is not announced', async () => {
  const stored = await StoredLog.create()
  mkdirSync(`${stored.folder}/logs/.creating-other-1234`)
  expect(await listLogs(stored.folder)).toEqual(['main'])
  rmSync(`${stored.files.folder}/log.json`)
  await expect(stored.open()).rejects.toMatchObject({ code: 'not_initialised', message: /log\.json/ })
})

test('a data folder without its folder of logs is refused by name', async () => {
  const folder = `${testFolder()}/data`
  await initDataFolder(folder)
  rmSync(`${folder}/logs`, { recursive: true })
  await expect(listLogs(folder)).rejects.toMatchObject({ code: 'not_initialised', message: /logs/ })
})

test('a key file that cannot be read is refused by name', async () => {
  const stored = await StoredLog.create()
  rmSync(stored.files.checkpointKey)
  mkdirSync(stored.files.checkpointKey, { mode: 0o700 })
  await expect(stored.open()).rejects.toMatchObject({ code: 'io_error', message: /log\.skey/ })
})

test('a log without its key is refused, and so is a key that others can read', async () => {
  const stored = await StoredLog.create()
  for (const mode of [0o640, 0o604, 0o666]) {
    chmodSync(stored.files.checkpointKey, mode)
    await expect(stored.open()).rejects.toMatchObject({ code: 'key_permissions' })
  }
  rmSync(stored.files.checkpointKey)
  await expect(stored.open()).rejects.toMatchObject({ code: 'key_missing' })
})

test("another log's key is refused, and no message repeats any of it", async () => {
  const [stored, other] = [await StoredLog.create(), await StoredLog.create()]
  const secret = readFileSync(other.files.checkpointKey, 'utf8')
  writeFileSync(stored.files.checkpointKey, secret)
  const failure = await stored.open().then(
    () => undefined,
    (error: Error) => error,
  )
  expect(failure).toMatchObject({ code: 'wrong_key' })
  expect(failure?.message).not.toContain(keyOf(secret))
})

test("another log's database is refused by its signature", async () => {
  const [stored, other] = [await StoredLog.create(), await StoredLog.create()]
  await other.append(texts(0, 3))
  rmSync(stored.files.database, { recursive: true })
  const { cpSync } = await import('node:fs')
  cpSync(other.files.database, stored.files.database, { recursive: true })
  await expect(stored.open()).rejects.toMatchObject({
    code: expect.stringMatching(/untrusted_signer|bad_signature/) as string,
  })
})

test('a log that is open is locked for everyone else', async () => {
  const stored = await StoredLog.create()
  const log = await stored.open()
  await expect(stored.open()).rejects.toMatchObject({ code: 'locked' })
  await log.append([new Uint8Array(0)])
  await log.close()
  const again = await stored.open()
  expect(again.published.size).toBe(1)
  await again.close()
})

test('the head file can live in a folder of its own', async () => {
  const stored = await StoredLog.create()
  const elsewhere = testFolder()
  const info = await createLog(stored.folder, {
    name: 'second',
    origin: 'log.example/second',
    allowDuplicates: false,
    headFolder: elsewhere,
  })
  expect(info.headFile).toBe(`${elsewhere}/second.head`)
  const log = await openStoredLog(stored.folder, 'second', SETTINGS)
  await log.close()
  rmSync(`${elsewhere}/second.head`)
  await expect(openStoredLog(stored.folder, 'second', SETTINGS)).rejects.toMatchObject({
    code: 'head_missing',
  })
})

/** The last part of `PRIVATE+KEY+<name>+<id>+<base64>`, which may have a plus sign of its own. */
function keyOf(signingKey: string): string {
  return signingKey.trim().split('+').slice(4).join('+')
}
