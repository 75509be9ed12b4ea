import { cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import { decodeHead, type FinalRecord, type SignedHead } from '../../src/log/head.ts'
import { parseNote } from '../../src/note/note.ts'
import { addKey, idOf, retireKey, rotateKey } from '../../src/instance/change-keys.ts'
import { createLog, readLogInfo } from '../../src/instance/data-folder.ts'
import { openStoredLog } from '../../src/instance/open-log.ts'
import { readHeadFile } from '../../src/storage/head-file.ts'
import { SETTINGS } from '../instance/fixture.ts'
import { testFolder } from '../support/folder.ts'
import { dataFolder, serve, stele, type Ran } from './fixture.ts'
import { serveFolder } from './static-server.ts'

interface Folder {
  readonly data: string
  readonly key: string
}

let root = ''
beforeEach(() => {
  root = testFolder()
})
const place = (name: string): string => join(root, name)

/** Opens a log of a data folder for a moment: it signs with the keys of today. */
async function opened(data: string, entries: readonly string[] = []): Promise<SignedHead> {
  const log = await openStoredLog(data, 'main', SETTINGS)
  try {
    if (entries.length > 0) await log.append(entries.map((entry) => Buffer.from(entry)))
    const sinceMs = Math.max(...(await readLogInfo(data, 'main')).keys.map(({ since }) => since.timestampMs))
    await expect.poll(() => log.integrated.timestampMs).toBeGreaterThanOrEqual(sinceMs)
    return log.integrated
  } finally {
    await log.close()
  }
}

async function headOf(data: string): Promise<SignedHead> {
  const path = join(data, 'logs/main/head')
  const file = await readHeadFile(path)
  return decodeHead(file.records[0]!, path)
}

/** The checkpoint that counts in a backup. */
function savedCheckpoint(folder: string): string {
  const text = readFileSync(join(folder, 'stele-backup.json'), 'utf8')
  return join(folder, `checkpoint.${(JSON.parse(text) as { generation: string }).generation}`)
}

const linesOf = (head: SignedHead): number => parseNote(head.checkpoint).signatures.length

const backup = (data: string, ...more: string[]): Promise<Ran> =>
  stele(['backup', 'main', '--data', data, '--with-keys', ...more])

const restore = (from: string, ...more: string[]): Promise<Ran> =>
  stele(['restore', 'main', '--data', place('restored'), '--from', from, '--json', ...more])

const sameFiles = (data: string, names: readonly string[]): void => {
  for (const name of names) {
    const [before, after] = [data, place('restored')].map((folder) => join(folder, 'logs/main', name))
    expect(readFileSync(after!), name).toEqual(readFileSync(before!))
  }
}

describe('a log with several keys', () => {
  /** One key retired, one announced, one of another kind; the newest head is by those of today. */
  async function rotated(): Promise<Folder & { old: string }> {
    const folder = await dataFolder()
    const { data, key } = folder
    await opened(data, ['a'])
    await addKey(data, 'main', 'ml-dsa-44')
    await opened(data, ['b'])
    await rotateKey(data, 'main', { overlapSeconds: 0 })
    await opened(data, ['c'])
    await retireKey(data, 'main', idOf(key), { beforeOverlapEnds: true })
    await opened(data, ['d'])
    return { data, key: (await readLogInfo(data, 'main')).verifierKey, old: key }
  }

  test('comes back with all of them, their times and what the old ones said; a retired one is not kept', async () => {
    const { data } = await rotated()
    expect((await backup(data, '--to', place('backup'))).code).toBe(0)
    const active = (await readLogInfo(data, 'main')).keys.filter(({ retired }) => !retired)
    const files = active.map(({ file }) => file)
    expect(files).toHaveLength(2)
    expect(existsSync(join(place('backup'), 'log.skey'))).toBe(false)
    const tar = await backup(data, '--tar', '-')
    writeFileSync(place('backup.tar'), tar.bytes)
    for (const from of [place('backup'), place('backup.tar')]) {
      const ran = await restore(from)
      expect([ran.code, ran.out === '']).toEqual([0, false])
      sameFiles(data, ['log.json', 'tree-head.pem', ...files])
      for (const file of files) {
        expect(statSync(join(place('restored'), 'logs/main', file)).mode % 0o1000).toBe(0o600)
      }
      expect(await headOf(place('restored'))).toEqual(await headOf(data))
      expect(linesOf(await opened(place('restored'), ['e']))).toBe(2)
      rmSync(place('restored'), { recursive: true })
    }
  })

  test('is not restored without the private key of each one that signs', async () => {
    const { data } = await rotated()
    await backup(data, '--to', place('backup'))
    const { file } = (await readLogInfo(data, 'main')).keys.find(({ retired }) => !retired)!
    rmSync(join(place('backup'), file))
    const refused = await restore(place('backup'))
    expect([refused.code, refused.err]).toEqual([33, expect.stringContaining(file)])
    expect(existsSync(join(place('restored'), 'logs/main'))).toBe(false)
  })

  test('whose newest head is by earlier keys opens, and signs with those of today', async () => {
    const { data } = await dataFolder()
    const before = await opened(data, ['a'])
    const { key } = await addKey(data, 'main', 'ed25519')
    // Nobody has opened it since, so that the head has one line.
    await backup(data, '--to', place('backup'))
    expect((await restore(place('backup'))).code).toBe(0)
    expect((await headOf(place('restored'))).root).toEqual(before.root)
    const head = await opened(place('restored'))
    expect([head.size, linesOf(head)]).toEqual([1, 2])
    expect(head.checkpoint).toContain(before.checkpoint.trimEnd())
    expect((await readLogInfo(place('restored'), 'main')).keys.at(-1)).toEqual(key)
    expect((await stele(['fsck', '--data', place('restored')])).code).toBe(0)
  })

  test('whose keys changed while it was saved, between checkpoint and tree head, is signed by those of today', async () => {
    const { data } = await dataFolder()
    await opened(data, ['a'])
    await backup(data, '--to', place('before'))
    await addKey(data, 'main', 'ed25519')
    await opened(data)
    await backup(data, '--to', place('backup'))
    cpSync(join(place('before'), 'checkpoint'), savedCheckpoint(place('backup')))
    const ran = await restore(place('backup'))
    expect([ran.code, ran.out === '']).toEqual([0, false])
    const head = await headOf(place('restored'))
    expect(linesOf(head)).toBe(2)
    expect(head.timestampMs).toBeGreaterThan((await headOf(data)).timestampMs)
  })

  test('is restored from a copy that has no tree head: all keys of today sign the same tree again', async () => {
    const { data } = await dataFolder()
    await opened(data, ['a'])
    await stele(['export', place('mirror'), '--data', data])
    await rotateKey(data, 'main', { overlapSeconds: 0 })
    const folder = join(data, 'logs/main')
    const skeys = readdirSync(folder).filter((name) => name.endsWith('.skey'))
    const flags = [
      ...skeys.flatMap((name) => ['--skey', join(folder, name)]),
      '--tree-head-key',
      join(folder, 'tree-head.pem'),
      '--no-policy',
      '--not-frozen',
    ]
    const url = await serveFolder(place('mirror'))
    const ran = await restore(url, '--log-json', join(folder, 'log.json'), ...flags)
    expect([ran.code, ran.out === '']).toEqual([0, false])
    const head = await headOf(place('restored'))
    expect([head.size, linesOf(head)]).toEqual([1, 2])
    sameFiles(data, ['log.json', ...skeys])
    expect(linesOf(await opened(place('restored'), ['b']))).toBe(2)
  })

  test('does not follow a checkpoint by a key that was retired before that size', async () => {
    const { data } = await dataFolder()
    const stolen = place('stolen')
    cpSync(data, stolen, { recursive: true })
    const { verifierKey: old } = await readLogInfo(data, 'main')
    await opened(data, ['a'])
    await rotateKey(data, 'main', { overlapSeconds: 0 })
    await opened(data)
    await retireKey(data, 'main', idOf(old), { beforeOverlapEnds: true })
    await opened(stolen, ['x', 'y', 'z'])
    await backup(stolen, '--to', place('backup'))
    const folder = join(data, 'logs/main')
    const { file } = (await readLogInfo(data, 'main')).keys.at(-1)!
    const flags = ['--log-json', join(folder, 'log.json'), '--skey', join(folder, file)]
    const treeHead = ['--tree-head-key', join(folder, 'tree-head.pem')]
    const refused = await restore(place('backup'), ...flags, ...treeHead)
    expect([refused.code, refused.err]).toEqual([12, expect.stringContaining('retired before')])
    expect(existsSync(join(place('restored'), 'logs/main'))).toBe(false)
  })

  test('is saved again into the folder of a backup that the old key signed', async () => {
    const { data } = await dataFolder()
    const { verifierKey: old } = await readLogInfo(data, 'main')
    await opened(data, ['a'])
    await backup(data, '--to', place('backup'))
    await rotateKey(data, 'main', { overlapSeconds: 0 })
    await opened(data, ['b'])
    await retireKey(data, 'main', idOf(old), { beforeOverlapEnds: true })
    await opened(data, ['c'])
    expect((await backup(data, '--to', place('backup'))).code).toBe(0)
    expect((await restore(place('backup'))).code).toBe(0)
    expect((await headOf(place('restored'))).size).toBe(3)
  })
})

describe('a frozen log', () => {
  const SUCCESSOR = 'https://log.example/logs/next'

  async function frozen(): Promise<Folder> {
    const folder = await dataFolder()
    await opened(folder.data, ['a', 'b'])
    await backup(folder.data, '--to', place('before'))
    const ran = await stele(['log', 'freeze', 'main', '--data', folder.data, '--successor', SUCCESSOR])
    expect(ran.code).toBe(0)
    return folder
  }

  /** It opens, and takes nothing; with its successor it says so. */
  async function expectFrozen(data: string, final: FinalRecord = { successor: SUCCESSOR }): Promise<void> {
    const log = await openStoredLog(data, 'main', SETTINGS)
    try {
      expect(log.integrated.final).toEqual(final)
      await expect(log.append([Buffer.from('more')])).rejects.toMatchObject({ code: 'frozen' })
    } finally {
      await log.close()
    }
  }

  test.each(['stopped', 'served'])('that was saved while %s is frozen when it is restored', async (how) => {
    const folder = await frozen()
    if (how === 'stopped') await backup(folder.data, '--to', place('backup'))
    else {
      const { url, stop } = await serve(folder)
      expect((await backup(folder.data, '--url', url, '--to', place('backup'))).code).toBe(0)
      await stop()
    }
    const ran = await restore(place('backup'))
    expect(JSON.parse(ran.out)).toMatchObject({ treeSize: 2, frozen: true })
    await expectFrozen(place('restored'))
    expect((await stele(['fsck', '--data', place('restored')])).code).toBe(0)
    rmSync(place('restored'), { recursive: true })
    expect((await restore(place('backup'), '--not-frozen')).code).toBe(2)
    expect(existsSync(join(place('restored'), 'logs/main'))).toBe(false)
  })

  test('is frozen though the backup is from before, if a head file or its server knows it', async () => {
    const folder = await frozen()
    const { data } = folder
    const head = ['--head-file', join(data, 'logs/main/head')]
    expect((await restore(place('before'), ...head, '--not-frozen')).code).toBe(2)
    expect(await restore(place('before'), ...head)).toMatchObject({ code: 0 })
    await expectFrozen(place('restored'))
    rmSync(place('restored'), { recursive: true })
    const { url, stop } = await serve(folder)
    expect(await restore(place('before'), '--mirror', url)).toMatchObject({ code: 0 })
    await expectFrozen(place('restored'))
    rmSync(place('restored'), { recursive: true })
    expect(await restore(place('before'), '--catch-up', url)).toMatchObject({ code: 0 })
    await expectFrozen(place('restored'))
    await stop()
  })

  test('from a copy that does not say so is whatever the operator says, and never guessed', async () => {
    const { data } = await frozen()
    await stele(['export', place('mirror'), '--data', data])
    const folder = join(data, 'logs/main')
    const keys = ['--skey', join(folder, 'log.skey'), '--tree-head-key', join(folder, 'tree-head.pem')]
    const from = [await serveFolder(place('mirror')), ...keys, '--no-policy'] as const
    const asked = await restore(...from)
    expect([asked.code, asked.err]).toEqual([2, expect.stringContaining('--not-frozen')])
    expect((await restore(...from, '--frozen', '--not-frozen')).code).toBe(2)
    expect((await restore(...from, '--frozen', 'not a URL')).code).toBe(2)
    expect(existsSync(join(place('restored'), 'logs/main'))).toBe(false)
    expect(await restore(...from, '--frozen')).toMatchObject({ code: 0 })
    await expectFrozen(place('restored'), {})
  })

  test('cannot be made to go on by a copy that says so', async () => {
    const folder = await dataFolder()
    const { url } = await serve(folder)
    const logs = join(folder.data, 'logs/main')
    const keys = ['--skey', join(logs, 'log.skey'), '--tree-head-key', join(logs, 'tree-head.pem')]
    const { code, err } = await restore(url, ...keys, '--no-policy')
    expect([code, err]).toEqual([2, expect.stringContaining('--not-frozen')])
  })

  test('says so over HTTP, and a restore straight from its server believes it', async () => {
    const folder = await frozen()
    const { url } = await serve(folder)
    const logs = join(folder.data, 'logs/main')
    const keys = ['--skey', join(logs, 'log.skey'), '--tree-head-key', join(logs, 'tree-head.pem')]
    expect(await restore(url, ...keys, '--no-policy', '--reads', 'public')).toMatchObject({ code: 0 })
    await expectFrozen(place('restored'))
  })

  test('a backup that was made before the end is not caught up with a copy as if nothing had ended', async () => {
    const { data } = await dataFolder()
    await opened(data, ['a'])
    await backup(data, '--to', place('backup'))
    await stele(['log', 'rollover', 'main', 'next', '--data', data, '--public-url', 'https://log.example'])
    await stele(['export', place('mirror'), '--data', data])
    const catchUp = ['--catch-up', await serveFolder(place('mirror'))]
    expect((await restore(place('backup'), ...catchUp)).err).toContain('--not-frozen')
    expect(await restore(place('backup'), ...catchUp, '--frozen', SUCCESSOR)).toMatchObject({ code: 0 })
    await expectFrozen(place('restored'))
  })
})

test('who reads, closed heads and duplicates come back as they were', async () => {
  const { data } = await dataFolder()
  const settings = { allowDuplicates: true, reads: 'private', heads: 'closed' } as const
  await createLog(data, { name: 'secret', origin: 'log.example/secret', ...settings })
  await stele(['backup', 'secret', '--data', data, '--with-keys', '--to', place('backup')])
  const to = place('restored')
  const ran = await stele(['restore', 'secret', '--data', to, '--from', place('backup')])
  expect([ran.code, ran.out]).toEqual([0, expect.stringContaining('reads: private')])
  expect(await readLogInfo(to, 'secret')).toMatchObject(settings)
})
