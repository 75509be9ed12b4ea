import { describe, expect, test } from 'vitest'
import { hasCode, SteleError } from '../../src/errors.ts'
import { encodeHead, type SignedHead } from '../../src/log/head.ts'
import type { Log, LogOptions, LogParts, Witnessing } from '../../src/log/log.ts'
import { openLog } from '../../src/log/open.ts'
import type { HeadCosigner } from '../../src/log/publisher.ts'
import { verifyConsistency } from '../../src/merkle/verify.ts'
import { bytes, Disk, OPTIONS } from './fixture.ts'

/** A quorum that answers when it is told to, and checks what it is shown. */
class FakeQuorum implements HeadCosigner {
  answer: 'cosign' | 'silent' | 'ahead' = 'cosign'
  readonly seen: SignedHead[] = []

  async cosign(head: SignedHead, prove: (oldSize: number) => Promise<Uint8Array[]>): Promise<string> {
    if (this.answer === 'silent') throw new SteleError('quorum_not_met', 'nobody answers')
    if (this.answer === 'ahead') throw new SteleError('rolled_back', 'a witness has cosigned size 99')
    const last = this.seen.at(-1)
    if (last && last.size > 0) {
      const path = await prove(last.size)
      verifyConsistency({
        oldSize: last.size,
        newSize: head.size,
        oldRoot: last.root,
        newRoot: head.root,
        path,
      })
    }
    this.seen.push(head)
    return head.checkpoint
  }
}

/** A disk whose log is witnessed; what was published outlives a restart. */
class WitnessedDisk {
  readonly disk: Disk
  readonly quorum = new FakeQuorum()
  published: Uint8Array | 'none yet' | undefined = 'none yet'

  constructor(disk: Disk) {
    this.disk = disk
  }

  open(options: Partial<LogOptions> = {}): Promise<Log> {
    const witnessing: Witnessing = {
      cosigner: this.quorum,
      store: { write: async (head) => void (this.published = encodeHead(head)) },
      suspect: this.published,
      retryMs: 1,
    }
    const parts: LogParts = { ...this.disk.parts(), witnessing }
    return openLog(parts, { ...OPTIONS, ...options })
  }
}

const make = async (): Promise<WitnessedDisk> => new WitnessedDisk(await Disk.create())

/** A log that has published one entry, and what it is on. */
async function published(): Promise<{ stored: WitnessedDisk; log: Log }> {
  const stored = await make()
  const log = await stored.open()
  await serving(log)
  await log.append([bytes('a')])
  await expect.poll(() => log.published.size).toBe(1)
  return { stored, log }
}

async function serving(log: Log): Promise<void> {
  await expect.poll(() => log.status.state).toBe('serving')
}

describe('a log with witnesses', () => {
  test('publishes what the quorum has cosigned, and every head it shows extends the one before', async () => {
    const stored = await make()
    const log = await stored.open()
    await serving(log)
    for (const text of ['a', 'b', 'c']) await log.append([bytes(text)])
    await expect.poll(() => log.published.size).toBe(3)
    expect(stored.quorum.seen.at(-1)?.size).toBe(3)
    await log.close()
  })

  test('integrates entries while the quorum is silent, and goes on showing the older head', async () => {
    const { stored, log } = await published()
    stored.quorum.answer = 'silent'
    await log.append([bytes('b')])
    await expect.poll(() => log.status.unpublished).toContain('nobody answers')
    expect([log.published.size, log.integrated.size]).toEqual([1, 2])
    await expect(log.readTile({ level: 0, index: 0, width: 2 })).rejects.toMatchObject({ code: 'not_found' })
    stored.quorum.answer = 'cosign'
    await expect.poll(() => log.published.size).toBe(2)
    await log.close()
  })

  test('shows after a restart what it showed before, though more is integrated', async () => {
    const { stored, log } = await published()
    stored.quorum.answer = 'silent'
    await log.append([bytes('b')])
    await log.close()
    const again = await stored.open()
    expect([again.published.size, again.integrated.size]).toEqual([1, 2])
    await again.close()
  })

  test('takes no entries after a start until its witnesses have confirmed the head', async () => {
    const stored = await make()
    stored.quorum.answer = 'silent'
    const log = await stored.open()
    expect(log.status.state).toBe('confirming')
    await expect(log.append([bytes('a')])).rejects.toMatchObject({ code: 'log_halted', retryAfterSeconds: 2 })
    expect((await log.readEntries(0, 0)).length).toBe(0)
    stored.quorum.answer = 'cosign'
    await serving(log)
    await log.append([bytes('a')])
    await log.close()
  })

  test('signs an old head again after a start, once its witnesses have confirmed it', async () => {
    const stored = await make()
    stored.quorum.answer = 'silent'
    const nowMs = () => 9_000_000
    const log = await stored.open({ nowMs })
    expect([log.status.state, log.integrated.timestampMs]).toEqual(['confirming', 1000])
    stored.quorum.answer = 'cosign'
    await expect.poll(() => log.published.timestampMs).toBe(nowMs())
    await log.close()
  })

  test('signs nothing any more once a witness has seen a larger tree', async () => {
    const { stored, log } = await published()
    stored.quorum.answer = 'ahead'
    await log.append([bytes('b')])
    const failure = await log.halted
    expect(hasCode(failure.cause, 'rolled_back')).toBe(true)
    await expect(log.append([bytes('c')])).rejects.toMatchObject({ code: 'log_halted' })
    expect([log.published.size, log.integrated.size]).toEqual([1, 2])
    await log.close()
  })

  test('signs nothing at all when it is opened behind what a witness has seen', async () => {
    const stored = await make()
    stored.quorum.answer = 'ahead'
    const log = await stored.open()
    expect(await log.halted).toMatchObject({ code: 'log_halted' })
    await expect(log.append([bytes('a')])).rejects.toMatchObject({ code: 'log_halted' })
    expect(log.integrated.size).toBe(0)
    await log.close()
  })

  test('shows nothing where what it published is lost, until its witnesses have cosigned the newest head', async () => {
    const { stored, log } = await published()
    await log.close()
    stored.published = undefined
    stored.quorum.answer = 'silent'
    await expect(stored.open()).rejects.toMatchObject({ code: 'quorum_not_met' })
    expect(stored.published).toBeUndefined()
    stored.quorum.answer = 'cosign'
    const cosigned = stored.quorum.seen.length
    const again = await stored.open()
    expect([again.published.size, stored.quorum.seen.length > cosigned]).toEqual([1, true])
    await again.close()
  })

  test('is refused when what it published is ahead of its database', async () => {
    const { stored, log } = await published()
    await log.close()
    const other = new WitnessedDisk(new Disk(stored.disk.keys))
    const empty = await Disk.create()
    other.published = stored.published
    Object.assign(other.disk, { store: empty.store, headFile: empty.headFile, keys: empty.keys })
    await expect(other.open()).rejects.toMatchObject({ name: 'SteleError' })
  })
})
