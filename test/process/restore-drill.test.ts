import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parseCheckpoint } from '../../src/note/checkpoint.ts'
import { parseNote } from '../../src/note/note.ts'
import { stele } from '../cli/fixture.ts'
import { testFolder } from '../support/folder.ts'
import { ServerProcess } from '../support/process.ts'
import { Examiner } from './examiner.ts'
import { Ledger } from './ledger.ts'
import { Load } from './load.ts'
import { makeLogFolder, prefix } from './log-folder.ts'
import { Random, seedOfRun } from './random.ts'

const LIMIT = { timeout: 120_000 }

const sizeOf = (note: string): number => parseCheckpoint(parseNote(note).text).size

/** Waits until a log has published more than so many entries. */
const grown = (log: string, size: number): Promise<Response> =>
  fetch(`${log}v1/checkpoint?after=${size}&timeout=30`)

/** What submitters know of a log that lost everything from a size on: all else may or may not be in it. */
function rememberUpTo(size: number, before: Ledger): Ledger {
  const ledger = new Ledger()
  for (const entry of [...before.receipts.map((receipt) => receipt.entry), ...before.unacknowledged]) {
    ledger.submit(entry)
    ledger.doubt(entry)
  }
  const kept = before.receipts.filter(({ index, treeSize = 0 }) => index < size && treeSize <= size)
  for (const receipt of kept) ledger.acknowledge(receipt)
  for (const note of before.notes) if (sizeOf(note) <= size) ledger.notes.add(note)
  return ledger
}

test(
  'the drill: saved under load, killed, destroyed, restored; every receipt from before the backup still holds',
  LIMIT,
  async () => {
    const log = await makeLogFolder()
    const random = new Random(seedOfRun('restore drill'))
    const server = new ServerProcess(log.folder)
    const url = await server.url
    const ledger = new Ledger()
    const load = new Load({ url: prefix(url), ledger, random, writers: 8, name: 'first' })

    const backup = join(testFolder(), 'backup')
    const args = ['backup', 'main', '--data', log.folder, '--url', prefix(url), '--to', backup]
    const sizes: number[] = []
    // Three times under load: the second and the third write only what is new.
    for (let i = 0; i < 3; i++) {
      await grown(prefix(url), (i + 1) * 700)
      const { code, out, err } = await stele([...args, '--with-keys', '--json'])
      expect([code, err]).toEqual([0, ''])
      sizes.push((JSON.parse(out) as { treeSize: number }).treeSize)
    }
    const size = sizes.at(-1)!
    expect(sizes).toEqual(sizes.toSorted((a, b) => a - b))
    await grown(prefix(url), size + 500)
    expect((await server.kill()).signal).toBe('SIGKILL')
    await load.done
    expect(load.outcomes.filter(({ status }) => status === 200).length).toBeGreaterThan(50)
    rmSync(log.folder, { recursive: true })
    expect((await stele(['fsck', backup, '--key', log.verifierKey])).code).toBe(0)

    // Whoever saw the newest checkpoint keeps this backup from going live as if nothing had happened.
    const newest = [...ledger.notes].toSorted((a, b) => sizeOf(b) - sizeOf(a))[0]!
    const seen = join(testFolder(), 'seen')
    writeFileSync(seen, newest)
    const data = `${log.folder}-restored`
    const refused = await stele(['restore', 'main', '--data', data, '--from', backup, '--seen', seen])
    expect(refused.code).toBe(17)
    expect(refused.err).toContain(`ends at size ${size}`)
    expect(refused.err).toContain(`size ${sizeOf(newest)}`)

    const restored = await stele(['restore', 'main', '--data', data, '--from', backup, '--json'])
    expect(restored.code, restored.err).toBe(0)
    expect(JSON.parse(restored.out)).toMatchObject({ treeSize: size })
    renameSync(data, log.folder)

    const again = new ServerProcess(log.folder)
    const servedAt = prefix(await again.url)
    const known = rememberUpTo(size, ledger)
    const receipts = known.receipts.length
    expect(receipts).toBeGreaterThan(500)
    const examiner = new Examiner(log, known)
    expect((await examiner.examine(servedAt)).size).toBe(size)
    expect(examiner.tally.receipts).toBe(receipts)

    const more = new Load({ url: servedAt, ledger: known, random, writers: 4, name: 'second' })
    await grown(servedAt, size + 500)
    await more.stop()
    expect((await examiner.examine(servedAt)).size).toBeGreaterThan(size)
    expect(examiner.tally.heads).toBeGreaterThan(3)
    expect(await again.stop()).toEqual({ code: 0, signal: null })
    expect((await stele(['fsck', '--data', log.folder])).code).toBe(0)
    console.info('restore drill:', JSON.stringify({ sizes, ...examiner.tally }))
  },
)
