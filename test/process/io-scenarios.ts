import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { hasCode } from '../../src/errors.ts'
import { decodeHead } from '../../src/log/head.ts'
import type { Log } from '../../src/log/log.ts'
import { Follower } from '../../src/mirror/follower.ts'
import { decodeCount } from '../../src/mirror/record.ts'
import type { MirroredLog } from '../../src/mirror/log.ts'
import { openMirrorState } from '../../src/mirror/open.ts'
import { HttpFiles } from '../../src/client/http-files.ts'
import { KEY_TYPE } from '../../src/note/key-id.ts'
import { rotateKey } from '../../src/instance/change-keys.ts'
import { createLog, initDataFolder, readLogInfo } from '../../src/instance/data-folder.ts'
import { freezeStoredLog } from '../../src/instance/freeze.ts'
import { copyPaths, createMirror, makeCopy } from '../../src/mirror/config.ts'
import { openStoredLog } from '../../src/instance/open-log.ts'
import { rollOver } from '../../src/instance/rollover.ts'
import { stele, type Ran } from '../cli/fixture.ts'
import { FakeLog, URL_PREFIX, VKEY } from '../client/fake-log.ts'
import { asMirrored, MIRROR_KEY } from '../mirror/fixture.ts'
import { SETTINGS } from '../instance/settings.ts'
import { listenInTest } from '../support/listen.ts'
import type { End, FaultyDisk } from '../support/faulty-disk.ts'
import { leafHash } from '../../src/merkle/hash.ts'
import { referenceRoot } from '../reference/tree.ts'

/** What a scenario was told before its fault: all of it must be so afterwards. */
export class Promises {
  /** Entries that were acknowledged, by index. */
  readonly entries = new Map<number, string>()
  /** Steps that came to their end. */
  readonly done = new Set<string>()
}

/** Something that the server or a command does with files, and what must be true of them whatever failed meanwhile. */
export interface Scenario {
  readonly name: string
  /** Makes the files that it begins with. */
  prepare(root: string): Promise<void>
  run(root: string, promises: Promises): Promise<void>
  /** The disk is well again, and the process a new one. */
  check(root: string, promises: Promises, end: End, disk: FaultyDisk): Promise<void>
}

const ORIGIN = 'log.example/main'
const dataIn = (root: string): string => join(root, 'data')
const headsIn = (root: string): string => join(root, 'heads')
const backupIn = (root: string): string => join(root, 'backup')

async function makeLog(root: string, entries: readonly string[]): Promise<void> {
  mkdirSync(headsIn(root))
  await initDataFolder(dataIn(root))
  await createLog(dataIn(root), {
    name: 'main',
    origin: ORIGIN,
    allowDuplicates: false,
    headFolder: headsIn(root),
  })
  await withLog(root, 'main', (log) => appendAll(log, entries))
}

async function withLog<T>(root: string, name: string, task: (log: Log) => Promise<T>): Promise<T> {
  const log = await openStoredLog(dataIn(root), name, SETTINGS)
  try {
    return await task(log)
  } finally {
    await log.close()
  }
}

async function appendAll(log: Log, texts: readonly string[], promises = new Promises()): Promise<void> {
  for (const text of texts) {
    const { placements } = await log.append([Buffer.from(text)])
    promises.entries.set(placements[0]!.index, text)
  }
}

/** All entries of a log, whose root hash the slow reference finds, too. */
async function entriesOf(log: Log): Promise<string[]> {
  const { size, root } = log.integrated
  const entries = size === 0 ? [] : await log.readEntries(0, size)
  assert.deepEqual(Buffer.from(referenceRoot(entries.map(leafHash))), Buffer.from(root))
  return entries.map((entry) => Buffer.from(entry).toString())
}

/** The newest size in a head file, read by the rules of `proto-docs/storage.md` alone. */
function sizeInHeadFile(path: string): number {
  return decodeHead(newestRecord(path), path).size
}

function newestRecord(path: string): Uint8Array {
  const bytes = readFileSync(path)
  const whole = [0, 1].flatMap((n) => {
    const slot = bytes.subarray(4096 + n * 32_768)
    const record = slot.subarray(44, 44 + slot.readUInt32BE(8))
    const digest = createHash('sha256').update(slot.subarray(0, 12)).update(record).digest()
    return digest.equals(slot.subarray(12, 44)) ? [{ sequence: slot.readBigUInt64BE(0), record }] : []
  })
  return whole.toSorted((a, b) => Number(b.sequence - a.sequence))[0]!.record
}

/** What a failure must not leave behind: half-made folders, and head files of logs that are not there. */
function leftovers(root: string): string[] {
  const logs = existsSync(join(dataIn(root), 'logs')) ? readdirSync(join(dataIn(root), 'logs')) : []
  const heads = existsSync(headsIn(root)) ? readdirSync(headsIn(root)) : []
  return [...logs, ...heads]
}

function succeeded(ran: Ran): Ran {
  if (ran.code === 0) return ran
  assert.notEqual(ran.code, 70, `an internal error: ${ran.err}`)
  throw new Error(`exit ${ran.code}: ${ran.err}`)
}

const FIRST = ['a', 'b', 'c']
const MORE = ['d', 'e', 'f']

const append: Scenario = {
  name: 'append',
  prepare: (root) => makeLog(root, FIRST),
  run: (root, promises) => withLog(root, 'main', (log) => appendAll(log, MORE, promises)),
  async check(root, promises, _, disk) {
    const all = await withLog(root, 'main', async (log) => {
      const found = await entriesOf(log)
      for (const [index, text] of promises.entries) assert.equal(found[index], text)
      assert.deepEqual(found, [...FIRST, ...MORE].slice(0, found.length))
      // Repeated as a client would: what is logged already is acknowledged at once.
      await appendAll(log, [...FIRST, ...MORE].slice(0, found.length))
      disk.pages.cutPower()
      const { headFile } = await readLogInfo(dataIn(root), 'main')
      assert.ok(sizeInHeadFile(headFile!) >= found.length, `acknowledged ${found.length}, synced less`)
      return found
    })
    await withLog(root, 'main', async (log) => {
      await appendAll(log, MORE)
      assert.deepEqual(await entriesOf(log), [...FIRST, ...MORE])
      assert.ok(all.length <= 6)
    })
  },
}

const create: Scenario = {
  name: 'create',
  async prepare(root) {
    mkdirSync(headsIn(root))
    await initDataFolder(dataIn(root))
  },
  async run(root, promises) {
    await createLog(dataIn(root), {
      name: 'main',
      origin: ORIGIN,
      allowDuplicates: false,
      headFolder: headsIn(root),
    })
    promises.done.add('created')
  },
  async check(root, promises, end) {
    if (!promises.done.has('created') && !existsSync(join(dataIn(root), 'logs/main'))) {
      if (end === 'failed') assert.deepEqual(leftovers(root), [])
      await makeAgain(root)
    }
    await withLog(root, 'main', async (log) => assert.deepEqual(await entriesOf(log), []))
  },
}

/** A process that is killed may leave a head file that it had just made: it is in the way by name. */
async function makeAgain(root: string): Promise<void> {
  const log = { name: 'main', origin: ORIGIN, allowDuplicates: false }
  try {
    await createLog(dataIn(root), { ...log, headFolder: headsIn(root) })
  } catch (error) {
    if (!hasCode(error, 'already_exists')) throw error
    await createLog(dataIn(root), log)
  }
}

const freeze: Scenario = {
  name: 'freeze',
  prepare: (root) => makeLog(root, FIRST),
  async run(root, promises) {
    const { head } = await freezeStoredLog(dataIn(root), 'main', SETTINGS, { lastEntry: Buffer.from('last') })
    assert.equal(head.size, 4)
    promises.done.add('frozen')
  },
  async check(root, promises) {
    await withLog(root, 'main', async (log) => {
      const isFrozen = log.integrated.final !== undefined
      if (promises.done.has('frozen')) assert.ok(isFrozen, 'it said that it was frozen')
      assert.deepEqual(await entriesOf(log), isFrozen ? [...FIRST, 'last'] : FIRST)
    })
  },
}

const rollover: Scenario = {
  name: 'rollover',
  prepare: (root) => makeLog(root, FIRST),
  run: (root) => rollOver(dataIn(root), 'main', successor(root)).then(() => {}),
  async check(root) {
    if (!existsSync(join(dataIn(root), 'logs/next'))) await rollOver(dataIn(root), 'main', successor(root))
    await withLog(root, 'main', async (log) => assert.equal(log.integrated.size, 4))
    await withLog(root, 'next', async (log) => assert.equal((await entriesOf(log)).length, 1))
  },
}

const successor = (root: string) => ({
  name: 'next',
  origin: 'log.example/next',
  url: 'https://log.example/next',
  headFolder: headsIn(root),
  settings: SETTINGS,
})

const rotate: Scenario = {
  name: 'rotate',
  prepare: (root) => makeLog(root, FIRST),
  async run(root, promises) {
    await rotateKey(dataIn(root), 'main', { overlapSeconds: 0 })
    promises.done.add('rotated')
  },
  async check(root, promises) {
    const { keys } = await readLogInfo(dataIn(root), 'main')
    assert.ok(keys.length === 2 || !promises.done.has('rotated'), 'it said that there was a new key')
    await withLog(root, 'main', async (log) => {
      await appendAll(log, MORE)
      assert.deepEqual(await entriesOf(log), [...FIRST, ...MORE])
    })
    if (keys.length === 1) await rotateKey(dataIn(root), 'main', { overlapSeconds: 0 })
  },
}

const secondBackup: Scenario = {
  name: 'second backup',
  async prepare(root) {
    await makeLog(root, FIRST)
    succeeded(await backup(root))
    await withLog(root, 'main', (log) => appendAll(log, MORE))
    await freezeStoredLog(dataIn(root), 'main', SETTINGS, {})
  },
  async run(root, promises) {
    succeeded(await backup(root))
    promises.done.add('saved')
  },
  async check(root, promises) {
    const to = join(root, 'restored')
    // The disk with the head file is gone, too: else it would tell of the newer head.
    rmSync(headsIn(root), { recursive: true })
    const again = await stele([
      'restore',
      'main',
      '--json',
      '--data',
      to,
      '--from',
      backupIn(root),
      '--head-folder',
      root,
    ])
    const { treeSize, frozen } = JSON.parse(succeeded(again).out) as { treeSize: number; frozen: boolean }
    const states = promises.done.has('saved') ? ['6 true'] : ['3 false', '6 true']
    assert.ok(states.includes(`${treeSize} ${frozen}`), `restored at size ${treeSize}, frozen: ${frozen}`)
    succeeded(await backup(root))
  },
}

const backup = (root: string): Promise<Ran> =>
  stele(['backup', 'main', '--with-keys', '--data', dataIn(root), '--to', backupIn(root)])

const restoring: Scenario = {
  name: 'restore',
  async prepare(root) {
    const other = join(root, 'other')
    mkdirSync(other)
    await makeLog(other, [...FIRST, ...MORE])
    succeeded(await stele(['backup', 'main', '--with-keys', '--data', dataIn(other), '--to', backupIn(root)]))
    mkdirSync(headsIn(root))
  },
  async run(root, promises) {
    succeeded(await restore(root))
    promises.done.add('restored')
  },
  async check(root, promises, end) {
    if (!promises.done.has('restored') && !existsSync(join(dataIn(root), 'logs/main'))) {
      if (end === 'failed') assert.deepEqual(leftovers(root), [])
      succeeded(await restore(root, end === 'failed' ? 'heads' : 'other-heads'))
    }
    await withLog(root, 'main', async (log) => assert.deepEqual(await entriesOf(log), [...FIRST, ...MORE]))
  },
}

function restore(root: string, heads = 'heads'): Promise<Ran> {
  mkdirSync(join(root, heads), { recursive: true })
  const from = ['--from', backupIn(root), '--head-folder', join(root, heads)]
  return stele(['restore', 'main', '--data', dataIn(root), ...from])
}

const mirror: Scenario = {
  name: 'mirror',
  async prepare(root) {
    await createMirror(dataIn(root), 'mirror.example/m1', [KEY_TYPE.ed25519Cosignature])
    await makeCopy(dataIn(root), (await sources()).small.origin)
    await withMirror(root, (log) => follow(log, 'small'))
  },
  async run(root, promises) {
    await withMirror(root, async (log) => {
      await follow(log, 'large')
      promises.done.add(`cosigned ${log.published.size}`)
    })
  },
  async check(root, promises) {
    await withMirror(root, async (log) => {
      assert.ok([300, 700].includes(log.published.size))
      for (const done of promises.done) assert.equal(done, `cosigned ${log.published.size}`)
      await follow(log, 'large')
      assert.equal(log.published.size, 700)
      assert.deepEqual(
        hexOf(await log.readEntries(690, 700)),
        hexOf((await sources()).large.entries.slice(690)),
      )
    })
    const { origin } = (await sources()).small
    const head = copyPaths(dataIn(root), origin).headFile
    await withMirror(root, async (log) =>
      assert.equal(decodeCount(newestRecord(head), head), log.state.cosigned),
    )
  },
}

const hexOf = (entries: readonly Uint8Array[]): string[] =>
  entries.map((entry) => Buffer.from(entry).toString('hex'))

let made: Promise<{ small: FakeLog; large: FakeLog }> | undefined
const sources = (): Promise<{ small: FakeLog; large: FakeLog }> =>
  (made ??= Promise.all([FakeLog.create(300), FakeLog.create(700)]).then(([small, large]) => ({
    small,
    large,
  })))

async function withMirror(root: string, task: (log: MirroredLog) => Promise<void>): Promise<void> {
  const { small } = await sources()
  const log = await openMirrorState(copyPaths(dataIn(root), small.origin), {
    log: asMirrored(small),
    url: URL_PREFIX,
    keys: [MIRROR_KEY],
    nowMs: () => 1_750_000_000_000,
    cacheBytes: 2 ** 20,
  })
  try {
    await task(log)
  } finally {
    await log.close()
  }
}

async function follow(log: MirroredLog, size: 'small' | 'large'): Promise<void> {
  const source = (await sources())[size]
  const follower = new Follower({
    log,
    mirror: { keepEvidence: () => Promise.resolve(false) },
    files: new HttpFiles(URL_PREFIX, { fetch: (url, init) => source.fetch(url, init) }, { deadlineMs: 0 }),
    clock: { nowMs: () => 0, random: () => 0, sleep: async () => {} },
    intervalMs: 1000,
    onTrouble: () => {},
    onStopped: () => {},
    onRepaired: () => {},
  })
  await follower.round()
}

const monitor: Scenario = {
  name: 'monitor',
  async prepare(root) {
    await serveSources()
    succeeded(await look(root, 'small'))
  },
  async run(root, promises) {
    const ran = await look(root, 'large')
    if (ran.code === 0) promises.done.add('seen')
    else succeeded(ran)
  },
  async check(root, promises) {
    // A log that shows less than what was seen is found out, and one that grew is not accused.
    if (promises.done.has('seen')) assert.equal((await look(root, 'small')).code, 17)
    else succeeded(await look(root, 'large'))
  },
}

/** The log that is monitored, of either size; it is served by another process, so to speak, and outlives the monitor's. */
const served: { url: string; log: FakeLog | undefined } = { url: '', log: undefined }

async function serveSources(): Promise<void> {
  const server = createServer(({ url }, response) => {
    const bytes = served.log!.file(url!.slice(1))
    response.writeHead(bytes ? 200 : 404, { connection: 'close' }).end(bytes)
  })
  served.url = `http://127.0.0.1:${await listenInTest(server)}`
}

/** One look of a monitor. */
async function look(root: string, size: 'small' | 'large'): Promise<Ran> {
  served.log = (await sources())[size]
  return stele(['monitor', '--once', '--state', join(root, 'state'), served.url, '--key', VKEY])
}

export const SCENARIOS: readonly Scenario[] = [
  append,
  create,
  freeze,
  rollover,
  rotate,
  secondBackup,
  restoring,
  mirror,
  monitor,
]
