import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { AuditSaver } from '../../src/cli/audit/saver.ts'
import { formatAuditState, parseAuditState, readAuditState } from '../../src/cli/audit/state.ts'
import type { FsckReport } from '../../src/cli/fsck/report.ts'
import { FolderFiles } from '../../src/cli/files/folder-files.ts'
import { encodingFor } from '../../src/cli/files/served-files.ts'
import { auditLog } from '../../src/client/index.ts'
import { formatVerifierKey } from '../../src/note/key.ts'
import { FakeLog, flipped, KEY, ORIGIN, texts } from '../client/fake-log.ts'
import { testFolder } from '../support/folder.ts'
import { dataFolder, lines, serve, stele } from './fixture.ts'

const KEY_FLAGS = ['--key', formatVerifierKey(KEY.verifier)]

async function audit(...args: string[]): Promise<FsckReport & { code: number; err: string }> {
  const { out, code, err } = await stele(['audit', '--json', ...args])
  if (out === '') throw new Error(`${code}: ${err}`)
  return { ...(JSON.parse(out) as FsckReport), code, err }
}

/** The files of a log, as "stele export" writes them. */
function writeLog(log: FakeLog, folder: string): string {
  for (const path of log.paths()) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), log.file(path)!)
  }
  return folder
}

let log: FakeLog
let early: string
beforeAll(async () => {
  log = await FakeLog.create(300)
  early = log.note
  await log.add(texts(300, 1_000))
})

const folderOf = (of: FakeLog = log): string => writeLog(of, join(testFolder(), 'public'))

describe('an audit', () => {
  it('of a served log and of a folder checks everything, and says what', async () => {
    const { flags, url } = await serve(await dataFolder())
    await stele(['add', '--lines', ...flags], { stdin: lines(600) })
    const served = await audit(url, ...flags)
    expect(served).toMatchObject({
      code: 0,
      verdict: 'intact',
      treeSize: 600,
      findings: [],
      notChecked: [expect.stringContaining('one log alone cannot show it')],
    })
    const inFolder = await audit(folderOf(), ...KEY_FLAGS, '--second-opinion')
    expect(inFolder).toMatchObject({ code: 0, verdict: 'intact', treeSize: 1_000 })
    expect(inFolder.checked.join('\n')).toMatch(/1,000 entries, 5 tiles[^]*3 full tiles by a second/)
    expect(inFolder.notChecked.join()).toContain('last 232 entries')
  })

  it('asks for entries as it is told, and finds the same', async () => {
    const { flags, url } = await serve(await dataFolder())
    await stele(['add', '--lines', ...flags], { stdin: lines(300) })
    for (const encoding of ['gzip', 'identity']) {
      const report = await audit(url, ...flags, '--encoding', encoding)
      expect(report).toMatchObject({
        code: 0,
        verdict: 'intact',
        treeSize: 300,
        notChecked: [expect.stringContaining('one log alone cannot show it')],
      })
    }
    const { code, err } = await stele(['audit', url, ...flags, '--encoding', 'br'])
    expect([code, err]).toEqual([2, expect.stringContaining('gzip, identity')])
  })

  it.each([
    ['http://127.0.0.1:6962/logs/main', 'identity'],
    ['http://localhost/logs/main', 'identity'],
    ['http://[::1]:80/logs/main', 'identity'],
    ['https://log.example/logs/main', 'gzip'],
    ['http://127.0.0.1.example/logs/main', 'gzip'],
    ['http://10.0.0.1/logs/main', 'gzip'],
  ])('of %s asks for %s unless it is told', (url, encoding) => {
    expect(encodingFor(url)).toBe(encoding)
  })

  it('names the first damage', async () => {
    const folder = folderOf()
    const path = join(folder, 'tile/entries/001')
    writeFileSync(path, flipped(readFileSync(path), 105))
    const report = await audit(folder, ...KEY_FLAGS, '--pinned', keep(early))
    expect(report).toMatchObject({ code: 1, verdict: 'damaged' })
    expect(report.findings[0]!.message).toMatch(/^entry 2\d\d: .*[0-9a-f]{64}.*[0-9a-f]{64}/)
    expect(report.notChecked.join('\n')).toMatch(/behind entry 256[^]*kept head/)
  })

  it('holds the log against a head that was kept', async () => {
    const folder = folderOf()
    const report = await audit(folder, ...KEY_FLAGS, '--pinned', keep(early))
    expect(report).toMatchObject({ code: 0 })
    expect(report.checked).toContain('the log extends the kept head of size 300')
    const other = await FakeLog.create(300, (text) => text.toUpperCase())
    expect(await audit(folder, ...KEY_FLAGS, '--pinned', keep(other.note))).toMatchObject({
      code: 16,
      findings: [{ kind: 'fork' }],
    })
    await other.add(texts(300, 2_000))
    expect(await audit(folder, ...KEY_FLAGS, '--pinned', keep(other.note))).toMatchObject({
      code: 17,
      findings: [{ kind: 'rolled_back' }],
    })
    expect((await stele(['audit', folder, ...KEY_FLAGS, '--pinned', keep('nonsense')])).code).toBe(10)
  })

  it('goes on from its state, and skips nothing', async () => {
    const state = join(testFolder(), 'audit.json')
    const small = await FakeLog.create(300)
    expect(await audit(folderOf(small), ...KEY_FLAGS, '--state', state)).toMatchObject({ code: 0 })
    const folder = folderOf()
    const report = await audit(folder, ...KEY_FLAGS, '--state', state)
    expect(report).toMatchObject({ code: 0, treeSize: 1_000 })
    expect(report.checked[0]).toMatch(/^700 entries/)
    expect(report.notChecked[0]).toContain('entries 0 to 299')
    expect((await stele(['audit', folderOf(small), ...KEY_FLAGS, '--state', state])).code).toBe(17)
  })

  it('that goes on finds what was changed in the past by the root hash at the latest', async () => {
    const state = join(testFolder(), 'audit.json')
    const other = await FakeLog.create(256, (text) => text.toUpperCase())
    await audit(folderOf(other), ...KEY_FLAGS, '--state', state)
    expect(await audit(folderOf(), ...KEY_FLAGS, '--state', state)).toMatchObject({
      code: 1,
      verdict: 'damaged',
    })
  })

  it('is not kept from its verdict by a disk that is full: it warns, and ends with another code', async () => {
    const file = join(testFolder(), 'file')
    writeFileSync(file, '')
    const { code, verdict, err } = await audit(
      folderOf(),
      ...KEY_FLAGS,
      '--state',
      join(dirname(file), 'new', 's'),
    )
    expect([code, verdict, err]).toEqual([0, 'intact', ''])
    const failures: string[] = []
    const saver = new AuditSaver(join(file, 'state'), ORIGIN, ({ code: why }) => failures.push(why), 0)
    saver.offer(log.tree)
    expect(await saver.finish(log.tree)).toMatchObject({ code: 'io_error' })
    expect(failures).toEqual(['io_error'])
  })

  it('looks at nothing that it cannot look at: codes of their own', async () => {
    expect((await stele(['audit', '/nonexistent', ...KEY_FLAGS])).code).toBe(4)
    expect((await stele(['audit', folderOf()])).code).toBe(2)
    const { data } = await dataFolder()
    expect((await stele(['audit', data, ...KEY_FLAGS])).err).toContain('stele fsck')
  })
})

describe('the state of an audit', () => {
  it('is read back at every size, and goes on to the same root hash', async () => {
    for (const size of [0, 1, 255, 256, 257, 700, 65_536 + 257]) {
      const { tree } = await FakeLog.create(size)
      expect(parseAuditState(formatAuditState(ORIGIN, tree), ORIGIN)).toEqual(tree)
    }
  })

  it('kept at any moment of an audit leads to its end', async () => {
    const folder = folderOf()
    const states: string[] = []
    const options = { origin: ORIGIN, verifierKeys: [KEY.verifier] }
    const files = new FolderFiles(folder)
    const onProgress = ({ tree }: { tree: typeof log.tree }): void => {
      states.push(formatAuditState(ORIGIN, tree))
    }
    await auditLog(files, { ...options, onProgress })
    expect(states).toHaveLength(4)
    for (const state of states) {
      const from = parseAuditState(state, ORIGIN)
      expect(await auditLog(files, { ...options, from })).toMatchObject({ verdict: 'intact' })
    }
  })

  it('is refused when it was changed, torn, or is of another log', async () => {
    const text = formatAuditState(ORIGIN, log.tree)
    const refused = { code: 'malformed' }
    for (const bad of [
      text.slice(0, 90),
      text.replace('1000', '1001'),
      text.replace(/[0-9a-f]{64}/, '0'.repeat(64)),
      '[]',
    ]) {
      expect(() => parseAuditState(bad, ORIGIN)).toThrow(expect.objectContaining(refused) as Error)
    }
    expect(() => parseAuditState(text, 'other')).toThrow(
      expect.objectContaining({ code: 'wrong_origin' }) as Error,
    )
    expect(await readAuditState(join(testFolder(), 'none'), ORIGIN)).toBeUndefined()
  })
})

/** A head that somebody kept in a file. */
function keep(note: string): string {
  const path = join(testFolder(), 'kept-checkpoint')
  writeFileSync(path, note)
  return path
}
