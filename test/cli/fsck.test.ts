import { readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { Level } from 'level'
import { expect, test } from 'vitest'
import type { FsckReport } from '../../src/cli/fsck/report.ts'
import { SecondOpinion, SecondOpinionDiffers } from '../../src/cli/fsck/second-opinion.ts'
import type { LogFiles } from '../../src/client/index.ts'
import { leafHash } from '../../src/merkle/hash.ts'
import { encodeBundle } from '../../src/tile/bundle.ts'
import { TileHashes } from '../../src/tile/hashes.ts'
import { alterRecord, ENTRY, HEAD, TILE } from '../storage/database.ts'
import { testFolder } from '../support/folder.ts'
import { dataFolder, lines, serve, stele } from './fixture.ts'

/** A stopped log of 600 entries. */
async function filledFolder(): Promise<{ data: string; key: string }> {
  const folder = await dataFolder()
  const { flags, stop } = await serve(folder)
  await stele(['add', '--lines', ...flags], { stdin: lines(600) })
  await stop()
  return folder
}

async function fsck(...args: string[]): Promise<FsckReport & { code: number }> {
  const { out, code, err } = await stele(['fsck', '--json', ...args])
  if (out === '') throw new Error(err)
  return { ...(JSON.parse(out) as FsckReport), code }
}

const flip = (old: Buffer): Buffer => {
  old[5]! ^= 1
  return old
}

test('a whole log is intact, and the report says what was looked at', async () => {
  const { data } = await filledFolder()
  const report = await fsck('--data', data, '--second-opinion')
  expect(report).toMatchObject({
    code: 0,
    target: 'main',
    verdict: 'intact',
    treeSize: 600,
    findings: [],
    warnings: [],
  })
  expect(report.checked.join('\n')).toMatch(
    /600 entries[^]*2 full tiles by a second[^]*head file[^]*leaf index: 600/,
  )
  expect(report.notChecked.join('\n')).toContain('last 88 entries')
  const { out } = await stele(['fsck', 'main', '--data', data])
  expect(out).toMatch(/^main: intact\n/)
})

test('an altered entry is named by its index, with both hashes', async () => {
  const { data } = await filledFolder()
  await alterRecord(join(data, 'logs/main/database'), 300, ENTRY, flip)
  const report = await fsck('--data', data)
  expect(report).toMatchObject({
    code: 1,
    verdict: 'damaged',
    findings: [{ kind: 'entry_differs', index: 300 }],
  })
  expect(report.findings[0]!.message).toMatch(/^entry 300: .*[0-9a-f]{64}.*[0-9a-f]{64}/)
})

test('an altered tile is found', async () => {
  const { data } = await filledFolder()
  await alterRecord(join(data, 'logs/main/database'), 255, TILE, flip)
  expect(await fsck('--data', data)).toMatchObject({
    code: 1,
    findings: [{ index: 0, leafHashInTile: expect.any(String) as string }],
  })
})

test('an altered head is found, and nothing is compared with it', async () => {
  const { data } = await filledFolder()
  await alterRecord(join(data, 'logs/main/database'), 600, HEAD, flip)
  const report = await fsck('--data', data)
  expect(report).toMatchObject({ code: 1, findings: [{ kind: 'head' }, { kind: 'head_file' }] })
  expect(report.notChecked.join('\n')).toContain('entries and tiles')
})

test('a head file that is lost, torn or ahead is told apart', async () => {
  const { data } = await filledFolder()
  const head = join(data, 'logs/main/head')
  const whole = readFileSync(head)
  rmSync(head)
  expect(await fsck('--data', data)).toMatchObject({
    code: 1,
    findings: [{ kind: 'head_file', code: 'head_missing' }],
  })

  const torn = Buffer.from(whole)
  torn.fill(1, 4096 + 50, 4096 + 80)
  writeFileSync(head, torn)
  const report = await fsck('--data', data)
  expect([report.verdict, report.warnings.join()]).toEqual(['intact', expect.stringContaining('torn')])
  writeFileSync(head, whole)

  const yesterday = join(testFolder(), 'yesterday')
  await cp(data, yesterday, { recursive: true })
  const { flags, stop } = await serve({ data, key: '' })
  const key = (
    JSON.parse((await stele(['log', 'show', 'main', '--json', '--data', data])).out) as {
      verifierKey: string
    }
  ).verifierKey
  await stele(['add', ...flags.slice(0, 2), '--key', key], { stdin: 'one more' })
  await stop()
  rmSync(join(data, 'logs/main/database'), { recursive: true })
  renameSync(join(yesterday, 'logs/main/database'), join(data, 'logs/main/database'))
  expect(await fsck('--data', data)).toMatchObject({ code: 1, findings: [{ code: 'rolled_back' }] })
})

test('leaves that the leaf index lacks are a warning; --rebuild-index brings them back', async () => {
  const { data } = await filledFolder()
  const index = new Level<Uint8Array, Uint8Array>(join(data, 'logs/main/leaf-index'), { keyEncoding: 'view' })
  await index.del(leafHash(Buffer.from('line 7')).subarray(0, 24))
  await index.close()
  const report = await fsck('--data', data)
  expect(report).toMatchObject({ code: 0, verdict: 'intact' })
  expect(report.warnings.join()).toContain('1 leaf is not found, the first one 7')
  expect(await fsck('--data', data, '--rebuild-index')).toMatchObject({ code: 0, warnings: [] })
  expect(await fsck('--data', data)).toMatchObject({ code: 0, warnings: [] })
})

test('a log that is being served is locked, and its URL can be checked instead', async () => {
  const { data, flags, url } = await serve(await dataFolder())
  await stele(['add', '--lines', ...flags], { stdin: lines(300) })
  const locked = await stele(['fsck', '--data', data])
  expect([locked.code, locked.out]).toEqual([32, ''])
  expect(locked.err).toContain('--url')
  expect(await fsck(url, ...flags)).toMatchObject({ code: 0, target: url, verdict: 'intact' })
})

test('an exported folder: a flipped bit and a missing file are named by their paths', async () => {
  const { flags, key } = await serve(await dataFolder())
  await stele(['add', '--lines', ...flags], { stdin: lines(600) })
  const folder = join(testFolder(), 'public')
  await stele(['export', folder, ...flags])
  const tile = join(folder, 'tile/1/000.p/2')
  const whole = readFileSync(tile)
  writeFileSync(tile, flip(Buffer.from(whole)))
  expect(await fsck(folder, '--key', key)).toMatchObject({
    code: 1,
    findings: [{ path: 'tile/1/000.p/2', position: 0 }],
  })
  writeFileSync(tile, whole)
  rmSync(join(folder, 'tile/entries/001'))
  expect(await fsck(folder, '--key', key)).toMatchObject({
    code: 1,
    findings: [{ path: 'tile/entries/001' }],
  })
})

test('what cannot be checked is no damage: other codes than 1', async () => {
  const { data } = await dataFolder()
  expect((await stele(['fsck', join(data, 'nothing'), '--data', data])).code).toBe(4)
  expect((await stele(['fsck', '--data', '/nonexistent'])).code).toBe(4)
  expect((await stele(['fsck', 'https://log.example/x', '--data', '/nonexistent'])).code).toBe(2)
})

test('the second opinion agrees with a right tile and objects to a wrong one', async () => {
  const entries = Array.from({ length: 256 }, (_, i) => Buffer.from(`entry ${i}`))
  const files: LogFiles = {
    checkpoint: async () => '',
    tile: async () => undefined,
    bundle: async () => encodeBundle(entries),
  }
  const leaves = Buffer.concat(entries.map(leafHash))
  const root = new TileHashes(leaves).node(8, 0)
  const judge = async (slab: Uint8Array, expected: Uint8Array): Promise<void> => {
    const opinion = new SecondOpinion(files)
    await opinion.bundle(0, 256)
    opinion.judge(0, slab, expected)
  }
  await judge(leaves, root)
  await expect(judge(flip(Buffer.from(leaves)), root)).rejects.toThrow(SecondOpinionDiffers)
  await expect(judge(leaves, flip(Buffer.from(root)))).rejects.toThrow('tile 0/0')
})

test('an entry that the database has lost is named by its index', async () => {
  const { data } = await filledFolder()
  await alterRecord(join(data, 'logs/main/database'), 300, ENTRY, () => undefined)
  const report = await fsck('--data', data)
  expect(report).toMatchObject({ code: 1, findings: [{ kind: 'database' }] })
  expect(report.findings[0]!.message).toContain('entry 300')
})

test('looking at a log costs no evidence: a damaged write-ahead log stays as it is, and is named', async () => {
  const { data } = await filledFolder()
  const folder = join(data, 'logs/main/database')
  const wal = readdirSync(folder).find(
    (name) => name.endsWith('.log') && statSync(join(folder, name)).size > 0,
  )!
  const flipped = flip(readFileSync(join(folder, wal)))
  writeFileSync(join(folder, wal), flipped)
  const report = await fsck('--data', data)
  expect([report.code, report.verdict]).toEqual([1, 'damaged'])
  expect(report.findings[0]!.message).toContain(`${wal}: damaged at byte 0`)
  expect(readFileSync(join(folder, wal)).equals(flipped)).toBe(true)
})
