import { execFileSync } from 'node:child_process'
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test, vi } from 'vitest'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import { SteleError } from '../../src/errors.ts'
import { changeAccess } from '../../src/instance/change-access.ts'
import { addKey, rotateKey } from '../../src/instance/change-keys.ts'
import { changePolicy } from '../../src/instance/change-policy.ts'
import { createLog } from '../../src/instance/data-folder.ts'
import type { Host } from '../../src/instance/host.ts'
import { LevelStore } from '../../src/storage/level.ts'
import { openHost, StoredLog } from './fixture.ts'

const UNANNOUNCED = (): Promise<void> => Promise.resolve()

/** A log of a host, and what the host said of it. */
class Watched {
  readonly stored: StoredLog
  readonly host: Host
  readonly said: string[]

  private constructor(stored: StoredLog, host: Host, said: string[]) {
    this.stored = stored
    this.host = host
    this.said = said
  }

  /** @param reopenAfterMs as short as a timer can be, so that it fires while a change is on its way */
  static async open(stored: StoredLog, reopenAfterMs = 1): Promise<Watched> {
    const said: string[] = []
    const host = await openHost(stored.folder, {
      reopenAfterMs,
      reopenAtMostMs: reopenAfterMs,
      events: { opened: () => said.push('opened'), failed: (_, { code }) => said.push(code) },
    })
    return new Watched(stored, host, said)
  }

  get log() {
    return this.host.get('main')!.log
  }

  /** Admits an entry whose commit will fail, as on a disk with an error. */
  admitLost(): Promise<unknown> {
    const commit = vi.spyOn(LevelStore.prototype, 'commit')
    commit.mockImplementationOnce(() => {
      commit.mockRestore()
      return Promise.reject(new SteleError('outcome_unknown', 'the disk is gone'))
    })
    return this.log!.append([encodeUtf8('lost')]).catch((error: unknown) => error)
  }

  async untilSaid(said: string): Promise<void> {
    await vi.waitUntil(() => this.said.includes(said), { timeout: 10_000 })
  }
}

const CHANGES: Record<string, (host: Host, folder: string) => Promise<unknown>> = {
  'its policy is changed': (host, folder) =>
    host.whileClosed('main', () => changePolicy(folder, 'main', 'quorum none\n', UNANNOUNCED)),
  'its readers are changed': (host, folder) =>
    host.whileClosed('main', () => changeAccess(folder, 'main', { reads: 'private' }, UNANNOUNCED)),
  'a key is added': (host, folder) => host.changeKeys('main', () => addKey(folder, 'main', 'ed25519')),
  'a key is rotated': (host, folder) =>
    host.changeKeys('main', () => rotateKey(folder, 'main', { overlapSeconds: 0 })),
}

describe('a log that halts while it is closed for a change', () => {
  test.for(Object.entries(CHANGES))('is changed and serves: %s', async ([, change]) => {
    const watched = await Watched.open(await StoredLog.create())
    const { host, stored } = watched
    const lost = watched.admitLost()
    const log = watched.log!
    // Closed for it, and the time to open it again passes meanwhile.
    const changing = host.whileClosed('main', async () => {
      expect(await lost).toMatchObject({ code: 'outcome_unknown' })
      await log.halted
      await sleep(50)
    })
    const changed = change(host, stored.folder)
    await changing
    await changed
    expect(watched.said).toEqual(['opened', 'log_halted', 'opened', 'opened'])
    expect(host.get('main')!.failure).toBeUndefined()
    await watched.log!.started
    await watched.log!.append([encodeUtf8('after')])
  })

  test('freezes when asked again', async () => {
    const watched = await Watched.open(await StoredLog.create())
    const lost: Promise<unknown>[] = []
    const freezing = watched.host.freeze('main', {}, async () => void lost.push(watched.admitLost()))
    await expect(freezing).rejects.toMatchObject({
      code: expect.stringMatching(/outcome_unknown|log_halted/),
    })
    await Promise.all(lost)
    await vi.waitUntil(() => watched.log?.status.state === 'serving', { timeout: 10_000 })
    expect((await watched.host.freeze('main', {})).head.size).toBe(0)
    await expect(watched.log!.append([encodeUtf8('b')])).rejects.toMatchObject({ code: 'frozen' })
  })
})

test('a log that another process has open at the start is served once that has closed it', async () => {
  const stored = await StoredLog.create()
  const other = await stored.open()
  const watched = await Watched.open(stored, 5)
  expect(watched.host.get('main')!.failure?.code).toBe('locked')
  expect(watched.log).toBeUndefined()
  await other.close()
  await watched.untilSaid('opened')
  await watched.log!.append([encodeUtf8('after')])
})

test('a host that stops while a log waits to be opened again ends as it should', async () => {
  const stored = await StoredLog.create()
  const other = await stored.open()
  const watched = await Watched.open(stored, 60_000)
  await watched.host.close()
  expect(watched.host.get('main')!.failure?.code).toBe('shutting_down')
  await other.close()
  await stored.append(['nobody else has it open'])
})

test('a log whose disk hangs while it is opened does not keep others from being served, and is served when it goes on', async () => {
  const stored = await StoredLog.create()
  await stored.append(['there'], 1)
  await createLog(stored.folder, { name: 'other', origin: 'log.example/other', allowDuplicates: false })
  // Reading a pipe waits for one who writes to it, as a disk lets one wait.
  const [head, pipe] = [stored.files.head, `${stored.files.head}-pipe`]
  const bytes = await readFile(head)
  await rm(head)
  execFileSync('mkfifo', [pipe])
  await link(pipe, head)
  const host = await openHost(stored.folder, { openWithinMs: 20, events: {} })
  expect(host.get('main')!.failure).toMatchObject({ code: 'log_halted', retryAfterSeconds: 2 })
  await vi.waitUntil(() => host.get('other')!.log)

  await writeFile(`${head}-copy`, bytes)
  await rename(`${head}-copy`, head)
  await writeFile(pipe, bytes)
  await vi.waitUntil(() => host.get('main')!.log)
  expect(host.get('main')!.log!.integrated.size).toBe(1)
})
