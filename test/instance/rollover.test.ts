import { readdirSync, writeFileSync } from 'node:fs'
import { cp, mkdir, readFile, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { lineageOf } from '../../src/cli/lineage/lineage.ts'
import {
  formatPredecessorEntry,
  formatSuccessorEntry,
  parsePredecessorEntry,
  parseSuccessorEntry,
  verifySuccession,
} from '../../src/client/lineage.ts'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import { createLog, listLogs } from '../../src/instance/data-folder.ts'
import { freezeStoredLog } from '../../src/instance/freeze.ts'
import { parseLogInfo } from '../../src/instance/log-info.ts'
import { openStoredLog } from '../../src/instance/open-log.ts'
import { rollOver, type RolloverStep } from '../../src/instance/rollover.ts'
import { SETTINGS, StoredLog } from './fixture.ts'

const OPTIONS = {
  name: 'next',
  origin: 'log.example/next',
  url: 'https://log.example/logs/next',
  settings: SETTINGS,
}

describe('freezing a stored log', () => {
  test('lasts over restarts, can be repeated, and is refused while somebody has the log open', async () => {
    const stored = await StoredLog.create()
    await stored.append(['a', 'b'])
    const open = await stored.open()
    const freeze = () => freezeStoredLog(stored.folder, 'main', SETTINGS, { successor: OPTIONS.url })
    await expect(freeze()).rejects.toMatchObject({ code: 'locked' })
    await open.close()
    const { head, published } = await freeze()
    expect(head).toMatchObject({ size: 2, final: { successor: OPTIONS.url } })
    expect(published).toBe(true)
    expect((await freeze()).head.size).toBe(2)
    const again = await stored.open()
    expect(again.status.state).toBe('frozen')
    await expect(again.append([encodeUtf8('c')])).rejects.toMatchObject({ code: 'frozen' })
    expect(await again.proveConsistency(1, 2)).toHaveLength(1)
    await again.close()
  })
})

describe('rolling over', () => {
  test('leaves an end and a beginning that name each other', async () => {
    const stored = await StoredLog.create()
    await stored.append(['a', 'b'])
    const { successor, final } = await rollOver(stored.folder, 'main', OPTIONS)
    expect(final).toMatchObject({ size: 3, final: { successor: OPTIONS.url } })
    expect(await listLogs(stored.folder)).toEqual(['main', 'next'])
    const next = await openStoredLog(stored.folder, 'next', SETTINGS)
    const [first] = await next.readEntries(0, 1)
    expect(parsePredecessorEntry(first!)).toMatchObject({
      origin: 'log.example/next',
      predecessor: {
        origin: 'log.example/main',
        treeSize: 3,
        rootHash: Buffer.from(final.root).toString('hex'),
      },
    })
    expect((await next.append([encodeUtf8('c')])).placements[0]!.index).toBe(1)
    await next.close()
    const old = await stored.open()
    const [last] = await old.readEntries(2, 3)
    expect(parseSuccessorEntry(last!)?.successor).toEqual({
      origin: 'log.example/next',
      verifierKeys: [successor.verifierKey],
      url: OPTIONS.url,
    })
    await old.close()
    expect(await lineageOf(stored.folder, 'main')).toEqual({
      name: 'main',
      origin: 'log.example/main',
      successor: { origin: 'log.example/next', name: 'next' },
    })
    expect(await lineageOf(stored.folder, 'next')).toMatchObject({ predecessor: { name: 'main' } })
  })

  test.each<RolloverStep>(['prepare', 'freeze', 'complete', 'show'])(
    'cut short before "%s", the same again completes it, and no name changed meanwhile',
    async (at) => {
      const stored = await StoredLog.create()
      await stored.append(['a'])
      const cut = rollOver(stored.folder, 'main', {
        ...OPTIONS,
        onStep: (step) => {
          if (step === at) throw new Error('cut short')
        },
      })
      await expect(cut).rejects.toThrow('cut short')
      // Nobody sees a successor that is not whole, and what the old log is can be told.
      expect(await listLogs(stored.folder)).toEqual(['main'])
      const between = await stored.open()
      const frozen = at === 'complete' || at === 'show'
      expect(between.status.state).toBe(frozen ? 'frozen' : 'serving')
      if (!frozen) await between.append([encodeUtf8('in between')])
      await between.close()
      // Half of a database is what a crash would leave.
      if (at === 'show') writeFileSync(`${stored.folder}/logs/.successor-next/database/CURRENT`, 'half')

      const { final } = await rollOver(stored.folder, 'main', OPTIONS)
      expect(final.size).toBe(frozen ? 2 : 3)
      expect(await lineageOf(stored.folder, 'next')).toMatchObject({ predecessor: { name: 'main' } })
      expect(readdirSync(`${stored.folder}/logs`).toSorted()).toEqual(['main', 'next'])
    },
  )

  test('going on leaves a head file alone that is none of its own', async () => {
    const stored = await StoredLog.create()
    const headFolder = join(stored.folder, 'heads')
    await mkdir(headFolder)
    const options = { ...OPTIONS, headFolder }
    const end = (step: RolloverStep): void => {
      if (step === 'complete') throw new Error('cut short')
    }
    await expect(rollOver(stored.folder, 'main', { ...options, onStep: end })).rejects.toThrow('cut short')
    const { headFile } = parseLogInfo(
      await readFile(`${stored.folder}/logs/.successor-next/log.json`, 'utf8'),
      'next',
    )
    await cp(stored.files.head, headFile!)
    await expect(rollOver(stored.folder, 'main', options)).rejects.toMatchObject({ code: 'already_exists' })
    expect(await readFile(headFile!)).toEqual(await readFile(stored.files.head))
    // What a crash leaves of one while it is made.
    await truncate(headFile!, 5000)
    await rollOver(stored.folder, 'main', options)
    expect(await listLogs(stored.folder)).toEqual(['main', 'next'])
  })

  test('is refused where the name is taken, or the log has ended otherwise', async () => {
    const stored = await StoredLog.create()
    await expect(rollOver(stored.folder, 'main', { ...OPTIONS, name: 'main' })).rejects.toMatchObject({
      code: 'already_exists',
    })
    await expect(rollOver(stored.folder, 'main', { ...OPTIONS, name: '../x' })).rejects.toMatchObject({
      code: 'usage',
    })
    await freezeStoredLog(stored.folder, 'main', SETTINGS, {})
    await expect(rollOver(stored.folder, 'main', OPTIONS)).rejects.toMatchObject({ code: 'already_exists' })
    expect(await listLogs(stored.folder)).toEqual(['main'])
  })

  test('a log that claims a predecessor which does not name it is found out', async () => {
    const stored = await StoredLog.create()
    await stored.append(['a'])
    const { final } = await rollOver(stored.folder, 'main', OPTIONS)
    const { verifierKey } = await createLog(stored.folder, {
      name: 'pretender',
      origin: 'log.example/pretender',
      allowDuplicates: false,
    })
    const log = await openStoredLog(stored.folder, 'pretender', SETTINGS)
    const predecessor = {
      origin: 'log.example/main',
      verifierKeys: [verifierKey],
      treeSize: final.size,
      rootHash: Buffer.from(final.root).toString('hex'),
    }
    await log.append([formatPredecessorEntry({ origin: 'log.example/pretender', predecessor })])
    await log.close()
    await expect(lineageOf(stored.folder, 'pretender')).rejects.toMatchObject({ code: 'bad_proof' })
  })
})

describe('two logs that name each other', () => {
  const successor = { origin: 'b', verifierKeys: ['b+1'], url: 'https://b/' }
  const predecessor = { origin: 'a', verifierKeys: ['a+1'], treeSize: 3, rootHash: '00'.repeat(32) }
  const good = {
    old: {
      origin: 'a',
      verifierKeys: ['a+1', 'a+2'],
      treeSize: 3,
      rootHash: '00'.repeat(32),
      lastEntry: formatSuccessorEntry({ origin: 'a', successor }),
    },
    next: {
      origin: 'b',
      verifierKeys: ['b+1'],
      firstEntry: formatPredecessorEntry({ origin: 'b', predecessor }),
    },
  }

  test('are accepted', () => {
    expect(() => verifySuccession(good)).not.toThrow()
  })

  test.each([
    ['the old origin', { old: { ...good.old, origin: 'x' } }],
    ['the old key', { old: { ...good.old, verifierKeys: ['a+2'] } }],
    ['the final size', { old: { ...good.old, treeSize: 4 } }],
    ['the final root hash', { old: { ...good.old, rootHash: '01'.repeat(32) } }],
    ['the last entry', { old: { ...good.old, lastEntry: encodeUtf8('{}') } }],
    ['the new origin', { next: { ...good.next, origin: 'x' } }],
    ['the new key', { next: { ...good.next, verifierKeys: ['b+2'] } }],
    ['the first entry', { next: { ...good.next, firstEntry: encodeUtf8('hello') } }],
  ])('are refused when %s is another', (_, changed) => {
    expect(() => verifySuccession({ ...good, ...changed })).toThrow(
      expect.objectContaining({ code: 'bad_proof' }),
    )
  })

  test('an entry that is nearly a statement is none', () => {
    const text = Buffer.from(good.next.firstEntry).toString()
    for (const other of [
      `${text}\n`,
      text.replace(':3', ':3.5'),
      text.replace('v1', 'v2'),
      'null',
      '[]',
      '{',
    ])
      expect(parsePredecessorEntry(encodeUtf8(other))).toBeUndefined()
    expect(parseSuccessorEntry(good.next.firstEntry)).toBeUndefined()
    expect(parseSuccessorEntry(Uint8Array.of(0xff))).toBeUndefined()
  })
})
