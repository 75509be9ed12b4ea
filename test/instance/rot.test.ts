import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { readLogInfo } from '../../src/instance/data-folder.ts'
import { headVerifier } from '../../src/instance/keys.ts'
import { asHash } from '../../src/merkle/hash.ts'
import { verifyConsistency } from '../../src/merkle/verify.ts'
import { decodeHead, type SignedHead } from '../../src/log/head.ts'
import { readHeadFile } from '../../src/storage/head-file.ts'
import { LevelStore } from '../../src/storage/level.ts'
import { testFolder } from '../support/folder.ts'
import { StoredLog, texts } from './fixture.ts'

const PROCESS = fileURLToPath(new URL('./rot-process.ts', import.meta.url))

function copyOf(path: string): string {
  const copy = `${testFolder()}/copy`
  cpSync(path, copy, { recursive: true })
  return copy
}

function restore(path: string, copy: string): void {
  rmSync(path, { recursive: true, force: true })
  cpSync(copy, path, { recursive: true })
}

const newest = (folder: string, ending: string): string =>
  join(
    folder,
    readdirSync(folder)
      .filter((name) => name.endsWith(ending))
      .sort()
      .at(-1)!,
  )

function flip(path: string, offset: number): void {
  const bytes = readFileSync(path)
  bytes[offset]! ^= 0x10
  writeFileSync(path, bytes)
}

describe('rollback', () => {
  test("yesterday's database under today's head file is refused, with both sizes", async () => {
    const stored = await StoredLog.create()
    await stored.append(texts(0, 10))
    const yesterday = copyOf(stored.files.database)
    await stored.append(texts(10, 25))
    restore(stored.files.database, yesterday)
    await expect(stored.open()).rejects.toMatchObject({
      code: 'rolled_back',
      message: expect.stringMatching(/ends at size 10.*size 25/) as string,
    })
  })

  test("today's head file in place of yesterday's is the same", async () => {
    const stored = await StoredLog.create()
    await stored.append(texts(0, 10))
    const folder = copyOf(stored.files.folder)
    await stored.append(texts(10, 25))
    const head = copyOf(stored.head)
    restore(stored.files.folder, folder)
    restore(stored.head, head)
    await expect(stored.open()).rejects.toMatchObject({ code: 'rolled_back' })
  })

  test('a missing head file is refused, and opening does not make one', async () => {
    const stored = await StoredLog.create()
    await stored.append(texts(0, 10))
    rmSync(stored.head)
    await expect(stored.open()).rejects.toMatchObject({ code: 'head_missing' })
    await expect(stored.open()).rejects.toMatchObject({ code: 'head_missing' })
  })

  test('a head file that is one head behind is what a crash leaves, and is brought up to date', async () => {
    const stored = await StoredLog.create()
    await stored.append(texts(0, 10))
    const behind = copyOf(stored.head)
    await stored.append(texts(10, 11))
    restore(stored.head, behind)
    const log = await stored.open()
    expect(log.published.size).toBe(11)
    await log.close()
    const file = await readHeadFile(stored.head)
    expect(decodeHead(file.records[0]!, 'test').size).toBe(11)
  })

  test('a head file of another history of the same log is a fork, both roots named', async () => {
    const stored = await StoredLog.create()
    await stored.append(texts(0, 10))
    const before = copyOf(stored.files.folder)
    await stored.append(['one history'])
    const head = copyOf(stored.head)
    restore(stored.files.folder, before)
    await stored.append(['another history', 'and longer'])
    restore(stored.head, head)
    await expect(stored.open()).rejects.toMatchObject({ code: 'fork' })
  })
})

describe('the write-ahead log', () => {
  test('cut at any place, it never opens at an older size', async () => {
    const stored = await StoredLog.withCommits()
    const whole = copyOf(stored.files.database)
    const log = newest(stored.files.database, '.log')
    const { size } = statSync(log)
    for (let cut = 0; cut < size; cut += Math.ceil(size / 25)) {
      restore(stored.files.database, whole)
      truncateSync(log, cut)
      await expect(stored.open()).rejects.toMatchObject({
        code: expect.stringMatching(/rolled_back|not_initialised/) as string,
      })
    }
  })

  test('cut within a record that was acknowledged, it is left alone: what is still in it may be wanted', async () => {
    const stored = await StoredLog.withCommits()
    const log = newest(stored.files.database, '.log')
    truncateSync(log, statSync(log).size - 1)
    const cut = readFileSync(log)
    for (let i = 0; i < 2; i++) {
      await expect(stored.open()).rejects.toMatchObject({
        code: 'rolled_back',
        message: expect.stringMatching(
          /\.log: the record at byte \d+ is cut off .*size 39, .*size 40/,
        ) as string,
      })
      expect(readFileSync(log).equals(cut)).toBe(true)
    }
  })

  test('with the beginning of a commit at its end that a crash cut off, it opens at the head that was acknowledged', async () => {
    const stored = await StoredLog.withCommits()
    const head = copyOf(stored.head)
    await stored.append(['never acknowledged'])
    const log = newest(stored.files.database, '.log')
    const { size } = statSync(log)
    for (const tail of [Buffer.alloc(0), Buffer.alloc(4096)]) {
      const copy = copyOf(stored.files.folder)
      restore(stored.head, head)
      truncateSync(log, size - 10)
      writeFileSync(log, tail, { flag: 'a' })
      const opened = await stored.open()
      expect(opened.published.size).toBe(40)
      await opened.close()
      restore(stored.files.folder, copy)
    }
  })

  test('deleted, it is named, and the database is left as it is', async () => {
    const stored = await StoredLog.withCommits()
    const log = newest(stored.files.database, '.log')
    rmSync(log)
    const left = readdirSync(stored.files.database)
    await expect(stored.open()).rejects.toMatchObject({
      code: 'corrupt',
      message: expect.stringContaining(`${log}: the database needs this file`) as string,
    })
    expect(readdirSync(stored.files.database)).toEqual(left)
  })

  test('with a bit flipped anywhere, it is named, and nothing is lost by trying', async () => {
    const stored = await StoredLog.withCommits()
    const whole = copyOf(stored.files.database)
    const head = copyOf(stored.head)
    const log = newest(stored.files.database, '.log')
    const { size } = statSync(log)
    let refused = 0
    for (let offset = 3; offset < size; offset += Math.ceil(size / 40)) {
      restore(stored.files.database, whole)
      restore(stored.head, head)
      flip(log, offset)
      const opened = await stored.open().catch((error: unknown) => error)
      expect(opened).toMatchObject({
        code: 'corrupt',
        message: expect.stringContaining(`${log}: damaged at byte `) as string,
      })
      // Nothing is gone: with the bit right again the log opens.
      flip(log, offset)
      if (refused++ % 8 === 0) await (await stored.open()).close()
    }
    expect(refused).toBeGreaterThan(30)
  })
})

describe('table files', () => {
  /** A log of which a reopening has moved everything into table files. */
  async function inTables(): Promise<StoredLog> {
    const stored = await StoredLog.create()
    await stored.append(texts(0, 700), 50)
    await (await stored.open()).close()
    await (await stored.open()).close()
    return stored
  }

  test.each(['.ldb', 'CURRENT', 'MANIFEST'])('a missing %s is refused', async (part) => {
    const stored = await inTables()
    const found = readdirSync(stored.files.database).find((name) => name.includes(part))
    rmSync(join(stored.files.database, found!))
    await expect(stored.open()).rejects.toMatchObject({
      code: expect.stringMatching(/corrupt|not_initialised|io_error|rolled_back/) as string,
    })
  })

  test('with a bit flipped anywhere, nothing is ever signed over another history', async () => {
    const stored = await inTables()
    const verifyHead = headVerifier(await readLogInfo(stored.folder, 'main'))
    const before = await headOf(stored)
    const table = newest(stored.files.database, '.ldb')
    const { size } = statSync(table)
    let refused = 0
    for (let offset = 11; offset < size; offset += Math.ceil(size / 12)) {
      const folder = copyOf(stored.folder)
      flip(join(folder, relative(stored.folder, table)), offset)
      const said = await afterRot(folder, before.size)
      if (!said.head) {
        refused++
        continue
      }
      // Damage that opening does not read. What is signed next still extends what was signed before: the tree's
      // right edge was verified, and older tiles are not read when the tree grows.
      const published = decodeHead(Buffer.from(said.head, 'base64'), 'test')
      verifyHead(published)
      if (!said.path) continue
      verifyConsistency({
        oldSize: before.size,
        newSize: published.size,
        oldRoot: before.root,
        newRoot: published.root,
        path: said.path.map((hex) => asHash(Buffer.from(hex, 'hex'), 'test')),
      })
    }
    expect(refused).toBeGreaterThan(0)
  }, 180_000)
})

/** What `rot-process.ts` says. */
async function afterRot(folder: string, oldSize: number): Promise<{ head?: string; path?: string[] }> {
  const args = ['--conditions=source', '--import', 'tsx', PROCESS, folder, `${oldSize}`]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const said: Buffer[] = []
  const complained: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => said.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => complained.push(chunk))
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
  expect([code ?? signal, Buffer.concat(complained).toString()]).toEqual([0, ''])
  return JSON.parse(Buffer.concat(said).toString()) as { head?: string; path?: string[] }
}

async function headOf(stored: StoredLog): Promise<SignedHead> {
  const store = await LevelStore.open(stored.files.database)
  const head = await store.readHead()
  await store.close()
  return decodeHead(head!.record, 'test')
}

test('a leaf index that is gone or damaged is rebuilt, and still knows every entry', async () => {
  const stored = await StoredLog.create()
  await stored.append(texts(0, 600), 100)
  for (const spoil of [
    () => rmSync(stored.files.leafIndex, { recursive: true }),
    () => rmSync(join(stored.files.leafIndex, 'CURRENT')),
    () => rmSync(newest(stored.files.leafIndex, '.log')),
  ]) {
    spoil()
    const log = await stored.open()
    const { placements } = await log.append(texts(0, 600).map((text) => Buffer.from(text)))
    expect(placements.every(({ index, duplicate }, i) => duplicate && index === i)).toBe(true)
    await log.close()
  }
})
