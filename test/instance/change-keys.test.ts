import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeHead, type SignedHead } from '../../src/log/head.ts'
import { openCheckpoint } from '../../src/note/checkpoint.ts'
import { parseVerifierKey } from '../../src/note/key.ts'
import { parseNote } from '../../src/note/note.ts'
import { followRotations } from '../../src/note/rotation.ts'
import { addKey, idOf, retireKey, rotateKey, type KeyFiles } from '../../src/instance/change-keys.ts'
import { readLogInfo } from '../../src/instance/data-folder.ts'
import { activeKeys } from '../../src/instance/key-times.ts'
import { headVerifier } from '../../src/instance/keys.ts'
import { replaceFile, writeNewFile } from '../../src/storage/files.ts'
import { readHeadFile } from '../../src/storage/head-file.ts'
import { StoredLog } from './fixture.ts'

const infoOf = (stored: StoredLog) => readLogInfo(stored.folder, 'main')
const linesOf = (head: SignedHead): number => parseNote(head.checkpoint).signatures.length

/** Opens a log, which signs with the keys of today at once, appends, and closes. */
async function serveOnce(stored: StoredLog, entry?: string): Promise<SignedHead> {
  const log = await stored.open()
  if (entry !== undefined) await log.append([Buffer.from(entry)])
  else {
    const sinceMs = Math.max(...(await infoOf(stored)).keys.map(({ since }) => since.timestampMs))
    await expect.poll(() => log.integrated.timestampMs).toBeGreaterThanOrEqual(sinceMs)
  }
  await log.close()
  return log.integrated
}

describe('the keys of a log', () => {
  test('a log of the form before is read as one with one key, and changing its keys brings it to this form', async () => {
    const stored = await StoredLog.create()
    const { version: _, keys: _keys, rotations: _rotations, ...before } = await infoOf(stored)
    writeFileSync(stored.files.info, JSON.stringify(before))
    expect(await infoOf(stored)).toMatchObject({ version: 2, keys: [{ file: 'log.skey' }], rotations: [] })
    await stored.append(['a'])
    expect(JSON.parse(readFileSync(stored.files.info, 'utf8'))).toEqual(before)
    await addKey(stored.folder, 'main', 'ed25519')
    expect(JSON.parse(readFileSync(stored.files.info, 'utf8'))).toMatchObject({ version: 2 })
    expect(linesOf(await serveOnce(stored, 'b'))).toBe(2)
  })

  test('of a log that is open elsewhere are left as they are', async () => {
    const stored = await StoredLog.create()
    const log = await stored.open()
    await expect(addKey(stored.folder, 'main', 'ed25519')).rejects.toMatchObject({ code: 'locked' })
    await log.close()
    expect((await infoOf(stored)).keys).toHaveLength(1)
  })

  test.each(['ed25519', 'ml-dsa-44'] as const)(
    '%s beside the first: one head at once has both lines, and what was signed before stays good',
    async (algorithm) => {
      const stored = await StoredLog.create()
      await stored.append(['a'])
      const first = (await infoOf(stored)).verifierKey
      const { key, info, statements } = await addKey(stored.folder, 'main', algorithm)
      expect(statSync(`${stored.files.folder}/${key.file}`).mode % 0o1000).toBe(0o600)
      expect(info.verifierKey).toBe(first)
      expect(statements).toHaveLength(1)
      // The head of before is good without the new line; the one that opening signs has both.
      const head = await serveOnce(stored)
      expect(head.size).toBe(1)
      expect(linesOf(head)).toBe(2)
      for (const each of [first, key.verifierKey]) {
        openCheckpoint(head.checkpoint, { origin: info.origin, verifiers: [parseVerifierKey(each)] })
      }
      const reached = followRotations(
        { origin: info.origin, verifiers: [parseVerifierKey(first)] },
        statements.join(''),
      )
      expect(reached.map(({ id }) => id)).toContain(parseVerifierKey(key.verifierKey).id)
    },
  )

  test('a head without the line of a key that signed at its time is not taken', async () => {
    const stored = await StoredLog.create()
    const info = await infoOf(stored)
    const log = await stored.open()
    const head = log.integrated
    await log.close()
    const second = {
      ...info.keys[0]!,
      verifierKey: (await addKey(stored.folder, 'main', 'ed25519')).key.verifierKey,
    }
    expect(() => headVerifier({ ...info, keys: [...info.keys, second] })(head)).toThrow(/lacks the line/)
  })

  test('never more than four sign', async () => {
    const stored = await StoredLog.create()
    for (let i = 0; i < 3; i++) await addKey(stored.folder, 'main', 'ml-dsa-44')
    await expect(addKey(stored.folder, 'main', 'ed25519')).rejects.toMatchObject({ code: 'usage' })
    expect(linesOf(await serveOnce(stored, 'a'))).toBe(4)
  })
})

describe('retiring', () => {
  test('the last key stays, one without overlap stays, and one before its announced end unless told so', async () => {
    const stored = await StoredLog.create()
    const id = idOf((await infoOf(stored)).verifierKey)
    const retire = (more = {}) => retireKey(stored.folder, 'main', id, more)
    await expect(retire()).rejects.toThrow(/last Ed25519/)
    await addKey(stored.folder, 'main', 'ml-dsa-44')
    await serveOnce(stored)
    await expect(retire()).rejects.toThrow(/last Ed25519/)
    const { key } = await rotateKey(stored.folder, 'main', { keyId: id, overlapSeconds: 3600 })
    await expect(retire({ beforeOverlapEnds: true })).rejects.toThrow(/no head carries its line/)
    await serveOnce(stored)
    await expect(retire()).rejects.toThrow(/announced to sign until/)
    const later = Date.now() + 7200_000
    const { info } = await retire({ nowMs: later })
    expect(info.verifierKey).toBe(key.verifierKey)
    await expect(retire()).rejects.toMatchObject({ code: 'not_found' })
  })

  test('a head after it carries the new line alone, and whoever pinned the old key follows the statements', async () => {
    const stored = await StoredLog.create()
    const old = (await infoOf(stored)).verifierKey
    await rotateKey(stored.folder, 'main', { overlapSeconds: 0 })
    await serveOnce(stored, 'a')
    const { info } = await retireKey(stored.folder, 'main', idOf(old), { beforeOverlapEnds: true })
    const head = await serveOnce(stored, 'b')
    expect(linesOf(head)).toBe(1)
    const pinned = { origin: info.origin, verifiers: [parseVerifierKey(old)] }
    expect(() => openCheckpoint(head.checkpoint, pinned)).toThrow(/expected a signature by one of/)
    const verifiers = followRotations(pinned, info.rotations.join(''))
    expect(openCheckpoint(head.checkpoint, { ...pinned, verifiers }).checkpoint.size).toBe(2)
  })

  test('a newer key that goes before an older one leads back to it', async () => {
    const stored = await StoredLog.create()
    const first = (await infoOf(stored)).verifierKey
    const { key } = await addKey(stored.folder, 'main', 'ed25519')
    await serveOnce(stored)
    const { info, statements } = await retireKey(stored.folder, 'main', idOf(key.verifierKey))
    expect(statements).toHaveLength(1)
    expect(info.verifierKey).toBe(first)
    const head = await serveOnce(stored, 'a')
    const pinned = { origin: info.origin, verifiers: [parseVerifierKey(key.verifierKey)] }
    const verifiers = followRotations(pinned, info.rotations.join(''))
    expect(openCheckpoint(head.checkpoint, { ...pinned, verifiers }).checkpoint.size).toBe(1)
  })

  test('an old ML-DSA key goes with a new one of its kind', async () => {
    const stored = await StoredLog.create()
    const { key } = await addKey(stored.folder, 'main', 'ml-dsa-44')
    await serveOnce(stored)
    const keyId = idOf(key.verifierKey)
    const next = await rotateKey(stored.folder, 'main', { keyId, overlapSeconds: 0 })
    expect(parseVerifierKey(next.key.verifierKey).type).toBe(6)
    await serveOnce(stored)
    await retireKey(stored.folder, 'main', keyId, { beforeOverlapEnds: true })
    expect(linesOf(await serveOnce(stored, 'a'))).toBe(2)
  })
})

describe('a crash while keys change', () => {
  const faults = (['writeNew', 'replace'] as const).flatMap((step) =>
    (['lost', 'kept', 'torn'] as const).map((outcome) => ({ step, outcome })),
  )

  test.each(faults)(
    'at $step, $outcome: the old keys or the new ones, never half',
    async ({ step, outcome }) => {
      const stored = await StoredLog.create()
      await stored.append(['a'])
      const before = await infoOf(stored)
      const attempt = rotateKey(stored.folder, 'main', { files: failing(step, outcome), overlapSeconds: 0 })
      await expect(attempt).rejects.toThrow('injected fault')
      const after = await infoOf(stored)
      const isNew = after.keys.length === 2
      expect(isNew).toBe(step === 'replace' && outcome === 'kept')
      if (!isNew) expect(after).toEqual(before)
      // Whatever is there can be served, and the change can be made again.
      expect(linesOf(await serveOnce(stored, 'b'))).toBe(isNew ? 2 : 1)
      await rotateKey(stored.folder, 'main', { overlapSeconds: 0 })
      expect(linesOf(await serveOnce(stored, 'c'))).toBe(isNew ? 3 : 2)
      const named = (await infoOf(stored)).keys.map(({ file }) => file)
      for (const file of named) expect(existsSync(`${stored.files.folder}/${file}`)).toBe(true)
      expect(readdirSync(stored.files.folder)).toEqual(expect.arrayContaining(named))
    },
  )

  test.each(['lost', 'kept'] as const)('retiring, %s', async (outcome) => {
    const stored = await StoredLog.create()
    const id = idOf((await infoOf(stored)).verifierKey)
    await rotateKey(stored.folder, 'main', { overlapSeconds: 0 })
    await serveOnce(stored)
    const attempt = retireKey(stored.folder, 'main', id, {
      beforeOverlapEnds: true,
      files: failing('replace', outcome),
    })
    await expect(attempt).rejects.toThrow('injected fault')
    expect(activeKeys((await infoOf(stored)).keys)).toHaveLength(outcome === 'kept' ? 1 : 2)
    expect(linesOf(await serveOnce(stored, 'a'))).toBe(outcome === 'kept' ? 1 : 2)
  })
})

type Act = 'ed25519' | 'ml-dsa-44' | 'rotate' | 'retire' | 'commit' | 'reopen'

test('whatever happens to the keys, every head that was ever signed stays good by the chain from the first key', async () => {
  const act = fc.constantFrom<Act>('ed25519', 'ml-dsa-44', 'rotate', 'retire', 'commit', 'reopen')
  await fc.assert(
    fc.asyncProperty(fc.array(act, { minLength: 3, maxLength: 10 }), async (acts) => {
      const stored = await StoredLog.create()
      const pinned = [parseVerifierKey((await infoOf(stored)).verifierKey)]
      const heads: SignedHead[] = []
      for (const [i, each] of acts.entries()) await perform(stored, each, i, heads)
      heads.push(await serveOnce(stored, 'the end'))
      const file = await readHeadFile(stored.head)
      heads.push(...file.records.map((record) => decodeHead(record, 'test')))

      const info = await infoOf(stored)
      const verify = headVerifier(info)
      const verifiers = followRotations({ origin: info.origin, verifiers: pinned }, info.rotations.join(''))
      for (const head of heads) {
        verify(head)
        openCheckpoint(head.checkpoint, { origin: info.origin, verifiers })
      }
    }),
    { numRuns: 12 },
  )
}, 60_000)

async function perform(stored: StoredLog, act: Act, i: number, heads: SignedHead[]): Promise<void> {
  if (act === 'commit') return void heads.push(await serveOnce(stored, `entry ${i}`))
  if (act === 'reopen') return void heads.push(await serveOnce(stored))
  const { keys } = await infoOf(stored)
  try {
    if (act === 'retire') {
      const id = idOf(activeKeys(keys)[i % activeKeys(keys).length]!.verifierKey)
      await retireKey(stored.folder, 'main', id, { beforeOverlapEnds: true })
    } else if (act === 'rotate') await rotateKey(stored.folder, 'main')
    else await addKey(stored.folder, 'main', act)
  } catch (error) {
    expect(error).toMatchObject({ code: 'usage' })
  }
}

/** Files whose first step of a kind does nothing, works and says that it did not, or leaves half of what was written. */
function failing(step: keyof KeyFiles, outcome: 'lost' | 'kept' | 'torn'): KeyFiles {
  const disk: KeyFiles = { writeNew: writeNewFile, replace: replaceFile }
  const fail = async (path: string, text: string, act: () => Promise<void>): Promise<void> => {
    if (outcome === 'kept') await act()
    // A crash before the rename leaves half a file beside the place; a new file is half itself.
    if (outcome === 'torn') writeFileSync(step === 'replace' ? `${path}.new` : path, text.slice(0, 20))
    throw new Error('injected fault')
  }
  return {
    writeNew: (path, text, mode) => {
      const act = (): Promise<void> => disk.writeNew(path, text, mode)
      return step === 'writeNew' ? fail(path, text, act) : act()
    },
    replace: (path, text) => {
      const act = (): Promise<void> => disk.replace(path, text)
      return step === 'replace' ? fail(path, text, act) : act()
    },
  }
}
