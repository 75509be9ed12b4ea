import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { decodeHead } from '../../src/log/head.ts'
import { readHeadFile } from '../../src/storage/head-file.ts'
import { createLog, initDataFolder } from '../../src/instance/data-folder.ts'
import { openStoredLog } from '../../src/instance/open-log.ts'
import { SETTINGS } from '../instance/settings.ts'
import { testFolder } from '../support/folder.ts'
import { dataFolder, lines, ORIGIN, serve, stele, type Ran } from './fixture.ts'
import { serveFolder } from './static-server.ts'

/** A log that grew, was saved, and grew on. */
interface Stage {
  readonly data: string
  readonly key: string
  /** Of size 600, with keys. */
  readonly backup: string
  /** Of the size at the end, from the stopped log. */
  readonly mirror: string
  /** Where to restore to. */
  readonly to: string
}

async function stage(more = 900): Promise<Stage> {
  const folder = await dataFolder()
  const { data, key } = folder
  const [backup, mirror, to] = ['backup', 'mirror', 'restored'].map((name) => join(testFolder(), name))
  await grow(folder, 600)
  await stele(['backup', 'main', '--data', data, '--to', backup!, '--with-keys'])
  if (more > 600) await grow(folder, more)
  await stele(['export', mirror!, '--data', data])
  return { data, key, backup: backup!, mirror: mirror!, to: to! }
}

async function grow(folder: { data: string; key: string }, size: number): Promise<void> {
  const { flags, stop } = await serve(folder)
  await stele(['add', '--lines', ...flags], { stdin: lines(size) })
  await stop()
}

const restore = ({ to }: { to: string }, from: string, ...more: string[]): Promise<Ran> =>
  stele(['restore', 'main', '--data', to, '--from', from, '--json', ...more])

/** What stands in the place of logs: nothing, unless a restore came to its end. */
function placed(to: string): string[] {
  return existsSync(join(to, 'logs')) ? readdirSync(join(to, 'logs')) : []
}

/** The checkpoint that counts in a backup. */
function savedCheckpoint(folder: string): string {
  const text = readFileSync(join(folder, 'stele-backup.json'), 'utf8')
  return join(folder, `checkpoint.${(JSON.parse(text) as { generation: string }).generation}`)
}

async function headOf(data: string) {
  const path = join(data, 'logs/main/head')
  const file = await readHeadFile(path)
  return decodeHead(file.records[0]!, path)
}

describe('restoring', () => {
  test('gives back the same log: entries, keys, both signatures of its head, and it goes on', async () => {
    const stageOne = await stage(600)
    const { data, key, backup, to } = stageOne
    expect(await restore(stageOne, backup)).toMatchObject({ code: 0 })
    expect((await stele(['fsck', '--data', to])).code).toBe(0)
    expect(await headOf(to)).toEqual(await headOf(data))
    for (const name of ['log.json', 'log.skey', 'tree-head.pem']) {
      expect(readFileSync(join(to, 'logs/main', name))).toEqual(readFileSync(join(data, 'logs/main', name)))
    }
    await grow({ data: to, key }, 700)
    const extended = await stele(['audit', backup, '--key', key])
    expect(extended.code).toBe(0)
    const after = join(testFolder(), 'after')
    await stele(['export', after, '--data', to])
    const pinned = ['--pinned', join(backup, 'checkpoint'), '--key', key]
    expect((await stele(['audit', after, ...pinned])).code).toBe(0)
  })

  test('works from a tar file, and leaves nothing of it behind', async () => {
    const one = await stage(600)
    const tar = join(testFolder(), 'backup.tar')
    const ran = await stele(['backup', 'main', '--data', one.data, '--tar', '-', '--with-keys'])
    writeFileSync(tar, ran.bytes)
    expect(await restore(one, tar)).toMatchObject({ code: 0 })
    expect(placed(one.to)).toEqual(['main'])
    expect((await stele(['fsck', '--data', one.to])).code).toBe(0)
  })

  test('works from the URL of a mirror, which has no keys and knows neither the policy nor whether the log ended', async () => {
    const one = await stage()
    const url = await serveFolder(one.mirror)
    const keys = [
      '--skey',
      join(one.backup, 'log.skey'),
      '--tree-head-key',
      join(one.backup, 'tree-head.pem'),
    ]
    expect(await restore(one, url, '--no-policy')).toMatchObject({ code: 33 })
    expect((await restore(one, url, ...keys)).err).toContain('--no-policy')
    expect((await restore(one, url, ...keys, '--no-policy')).err).toContain('--not-frozen')
    const restored = await restore(one, url, ...keys, '--no-policy', '--not-frozen')
    expect(restored).toMatchObject({ code: 0 })
    // What nobody says is closed.
    expect(JSON.parse(restored.out)).toMatchObject({ reads: 'private', frozen: false })
    // The tree head is re-signed, and not before the one that the log had signed.
    const [head, original] = [await headOf(one.to), await headOf(one.data)]
    expect(head.checkpoint).toBe(original.checkpoint)
    expect(head.timestampMs).toBeGreaterThan(original.timestampMs)
    expect((await stele(['fsck', '--data', one.to])).code).toBe(0)
  })

  test('never overwrites a log, and says how to move it aside', async () => {
    const one = await stage()
    const before = readFileSync(join(one.data, 'logs/main/head'))
    const { code, err } = await restore({ to: one.data }, one.backup)
    expect([code, err]).toEqual([3, expect.stringContaining('mv ')])
    expect(readFileSync(join(one.data, 'logs/main/head'))).toEqual(before)
    // Done as it says: the head file that was moved aside still knows more.
    renameSync(join(one.data, 'logs/main'), join(one.data, 'logs/.main-aside'))
    const again = await restore(
      { to: one.data },
      one.backup,
      '--head-file',
      join(one.data, 'logs/.main-aside/head'),
    )
    expect(again.code).toBe(17)
    expect(placed(one.data)).toEqual(['.main-aside'])
  })

  test('keys that others can read, and keys of another log, are refused', async () => {
    const one = await stage(600)
    const other = await dataFolder()
    const foreign = ['--skey', join(other.data, 'logs/main/log.skey')]
    expect(await restore(one, one.backup, ...foreign)).toMatchObject({ code: 35 })
    rmSync(join(one.backup, 'tree-head.pem'))
    expect(await restore(one, one.backup)).toMatchObject({ code: 33 })
    writeFileSync(join(one.backup, 'log.skey'), readFileSync(join(one.data, 'logs/main/log.skey')))
    expect(placed(one.to)).toEqual([])
  })
})

describe('what somebody has seen', () => {
  test.each(['--head-file', '--seen', '--mirror'])(
    '%s with a larger head: both sizes, nothing restored',
    async (flag) => {
      const one = await stage()
      const value = {
        '--head-file': join(one.data, 'logs/main/head'),
        '--seen': join(one.mirror, 'checkpoint'),
        '--mirror': await serveFolder(one.mirror),
      }[flag]!
      const { code, err } = await restore(one, one.backup, flag, value)
      expect(code).toBe(17)
      expect(err).toMatch(/ends at size 600.*size 900.*entries 600 to 899/)
      expect(err).toContain('--catch-up')
      expect(placed(one.to)).toEqual([])
      // And with what is missing, it goes through.
      const url = await serveFolder(one.mirror)
      const caughtUp = await restore(one, one.backup, flag, value, '--catch-up', url, '--not-frozen')
      expect(caughtUp).toMatchObject({ code: 0 })
      expect(JSON.parse(caughtUp.out)).toMatchObject({ treeSize: 900 })
      expect((await stele(['fsck', '--data', one.to])).code).toBe(0)
      expect((await headOf(one.to)).root).toEqual((await headOf(one.data)).root)
      await grow({ data: one.to, key: one.key }, 950)
    },
  )

  test('the head file on another disk outlived the accident: it is compared, never written to, and a new one is made', async () => {
    const one = await stage()
    const disk = join(testFolder(), 'disk')
    mkdirSync(disk)
    const kept = join(disk, 'main.head')
    cpSync(join(one.data, 'logs/main/head'), kept)
    const before = readFileSync(kept)
    const refused = await restore(one, one.backup, '--head-folder', disk)
    expect(refused).toMatchObject({ code: 3 })
    expect(refused.err).toContain(`--head-file ${kept}-aside`)
    expect([readFileSync(kept).equals(before), placed(one.to)]).toEqual([true, []])
    renameSync(kept, `${kept}-aside`)
    const again = ['--head-folder', disk, '--head-file', `${kept}-aside`]
    expect(await restore(one, one.backup, ...again)).toMatchObject({ code: 17 })
    expect(existsSync(kept)).toBe(false)
    const catchUp = ['--not-frozen', '--catch-up', await serveFolder(one.mirror)]
    expect(await restore(one, one.backup, ...again, ...catchUp)).toMatchObject({ code: 0 })
    expect((await stele(['fsck', '--data', one.to])).code).toBe(0)
    expect(existsSync(join(one.to, 'logs/main/head'))).toBe(false)
  })

  test('a drill beside the living log neither writes into its head file nor goes on behind it', async () => {
    const data = join(testFolder(), 'living')
    const [heads, drill] = [join(testFolder(), 'heads'), join(testFolder(), 'drill-heads')]
    for (const folder of [heads, drill]) mkdirSync(folder)
    await initDataFolder(data)
    await createLog(data, { name: 'main', origin: ORIGIN, allowDuplicates: false, headFolder: heads })
    const backup = join(testFolder(), 'backup')
    await stele(['backup', 'main', '--data', data, '--to', backup, '--with-keys'])
    const living = await openStoredLog(data, 'main', SETTINGS)
    await living.append([Buffer.from('a')])
    const to = join(testFolder(), 'drilled')
    expect(await restore({ to }, backup)).toMatchObject({ code: 3 })
    const elsewhere = await restore({ to }, backup, '--head-folder', drill)
    expect([elsewhere.code, elsewhere.err]).toEqual([17, expect.stringContaining(heads)])
    await living.append([Buffer.from('b')])
    await living.close()
  })

  test('smaller and equal heads are proven to be prefixes, and named', async () => {
    const one = await stage(600)
    const { code, out } = await restore(one, one.backup, '--head-file', join(one.data, 'logs/main/head'))
    expect(code).toBe(0)
    expect((JSON.parse(out) as { compared: { size: number }[] }).compared.map(({ size }) => size)).toEqual([
      600, 0,
    ])
  })

  test.each([650, 550, 600])(
    'another history, seen at size %i, is a fork, and the evidence is kept',
    async (size) => {
      const one = await stage(600)
      const twin = { data: join(testFolder(), 'twin'), key: one.key }
      const young = await restore({ to: twin.data }, await emptyBackup(one))
      expect(young.code).toBe(0)
      const { flags, stop } = await serve(twin)
      await stele(['add', '--lines', ...flags], { stdin: lines(size).replaceAll('line', 'lie') })
      await stop()
      const seen = join(testFolder(), 'seen')
      await stele(['export', seen, '--data', twin.data])
      // A larger head can be judged only with its own tiles.
      const flag = size > 600 ? ['--mirror', await serveFolder(seen)] : ['--seen', join(seen, 'checkpoint')]
      const { code, err } = await restore(one, one.backup, ...flag)
      expect([code, err]).toEqual([16, expect.stringContaining('contradict')])
      const [file] = readdirSync(join(one.to, 'evidence'))
      const judged = await stele(['verify', '--evidence', join(one.to, 'evidence', file!), '--key', one.key])
      expect(judged.out + judged.err).toContain('fork')
      expect(judged.code).toBe(0)
      expect(placed(one.to)).toEqual([])
    },
  )

  test('what is no checkpoint of this log, or is not there, is no reason to go on', async () => {
    const one = await stage(600)
    const checkpoint = join(testFolder(), 'checkpoint')
    writeFileSync(checkpoint, 'hello\n')
    expect((await restore(one, one.backup, '--seen', checkpoint)).code).toBe(10)
    expect((await restore(one, one.backup, '--seen', `${checkpoint}-none`)).code).toBe(40)
    expect(placed(one.to)).toEqual([])
  })
})

/** A backup of the log as it was when it was made. */
async function emptyBackup({ data, key }: Stage): Promise<string> {
  const to = join(testFolder(), 'empty')
  mkdirSync(to)
  for (const name of ['log.skey', 'tree-head.pem']) {
    writeFileSync(join(to, name), readFileSync(join(data, 'logs/main', name)), { mode: 0o600 })
  }
  const { signNote } = await import('../../src/note/note.ts')
  const { parseSigningKey } = await import('../../src/note/key.ts')
  const { formatCheckpoint } = await import('../../src/note/checkpoint.ts')
  const { EMPTY_ROOT } = await import('../../src/merkle/hash.ts')
  const signer = parseSigningKey(readFileSync(join(to, 'log.skey'), 'utf8').trim())
  const origin = signer.verifier.name
  const text = formatCheckpoint({ origin, size: 0, root: EMPTY_ROOT })
  writeFileSync(join(to, 'checkpoint'), await signNote(text, [signer]))
  const description = { format: 'stele log backup', version: 1, name: 'main', origin, verifierKey: key }
  const savedAt = new Date().toISOString()
  const ending = { frozen: false }
  writeFileSync(
    join(to, 'stele-backup.json'),
    JSON.stringify({ ...description, policy: 'none', ending, savedAt }),
  )
  cpSync(join(data, 'logs/main/log.json'), join(to, 'log.json'))
  return to
}

describe('a damaged backup', () => {
  const flip = (path: string): void => {
    const bytes = readFileSync(path)
    bytes[bytes.length - 1]! ^= 1
    writeFileSync(path, bytes)
  }
  // One bit, too.
  const flipSize = (path: string): void =>
    writeFileSync(path, readFileSync(path, 'utf8').replace('\n600\n', '\n601\n'))
  test.each<[string, (backup: string) => void, number, RegExp]>([
    ['a bit of a bundle', (b) => flip(join(b, 'tile/entries/001')), 36, /entry 511/],
    ['a bit of the last bundle', (b) => flip(join(b, 'tile/entries/002.p/88')), 36, /entry 599/],
    ['a bit of a tile', (b) => flip(join(b, 'tile/0/000')), 36, /entry 255|tile\/0\/000/],
    ['a bit of an upper tile', (b) => flip(join(b, 'tile/1/000.p/2')), 36, /tile\/1\/000\.p\/2/],
    ['a bit of the checkpoint', (b) => flipSize(savedCheckpoint(b)), 13, /checkpoint/],
    ['a missing bundle', (b) => rmSync(join(b, 'tile/entries/001')), 36, /tile\/entries\/001/],
    ['a missing tile', (b) => rmSync(join(b, 'tile/0/001')), 36, /tile\/0\/001/],
    ['a missing checkpoint', (b) => rmSync(join(b, 'checkpoint')), 4, /checkpoint/],
    [
      'the missing checkpoint of its generation',
      (b) => rmSync(savedCheckpoint(b)),
      36,
      /checkpoint\.[0-9a-f]{16}/,
    ],
    ['a bundle cut short', (b) => truncateSync(join(b, 'tile/entries/000'), 1000), 36, /tile\/entries\/000/],
    ['a tile cut short', (b) => truncateSync(join(b, 'tile/0/001'), 8000), 36, /tile\/0\/001/],
    [
      'a description cut short',
      (b) => truncateSync(join(b, 'stele-backup.json'), 50),
      36,
      /stele-backup\.json/,
    ],
  ])('%s: refused, and the first damage is named', async (_, spoil, code, message) => {
    const one = await stage(600)
    spoil(one.backup)
    const ran = await restore(one, one.backup)
    expect([ran.code, ran.err]).toEqual([code, expect.stringMatching(message)])
    expect(ran.out).toBe('')
    expect(placed(one.to)).toEqual([])
  })

  test('a tar file that is cut anywhere is refused', async () => {
    const one = await stage(600)
    const whole = await stele(['backup', 'main', '--data', one.data, '--tar', '-', '--with-keys'])
    const tar = join(testFolder(), 'backup.tar')
    for (const share of [0, 0.3, 0.5, 0.9]) {
      writeFileSync(tar, whole.bytes.subarray(0, Math.floor(whole.bytes.length * share)))
      expect((await restore(one, tar)).code).toBe(36)
    }
    expect(placed(one.to)).toEqual([])
  })
})
