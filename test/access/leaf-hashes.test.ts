import { expect, test } from 'vitest'
import { proofPermission } from '../../src/access/caller.ts'
import { toBase64 } from '../../src/bytes/base64.ts'
import { toHex } from '../../src/bytes/hex.ts'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import { asHash, leafHash, nodeHash, type Hash } from '../../src/merkle/hash.ts'
import { eachOf } from './each.ts'
import { logsOfEachKind, Stage } from './stage.ts'

const entryAt = (index: number): string => `entry ${index}`
const SIZE = 520

/** Every node below a whole tile, in hex: one of them confirms a guess at the entries below it. */
function nodesBelowTiles(): ReadonlySet<string> {
  let level: Hash[] = Array.from({ length: SIZE }, (_, i) => leafHash(encodeUtf8(entryAt(i))))
  const found = new Set<string>()
  for (let height = 0; height < 8; height++) {
    for (const hash of level) found.add(toHex(hash))
    level = Array.from({ length: Math.floor(level.length / 2) }, (_, i) =>
      nodeHash(level[2 * i]!, level[2 * i + 1]!),
    )
  }
  return found
}

async function stageOfEntries(): Promise<Stage> {
  const logs = await logsOfEachKind()
  for (const log of logs) await log.add(...Array.from({ length: SIZE }, (_, i) => entryAt(i)))
  return Stage.open({ logs })
}

/** Hashes in an answer of either API, in hex. */
function hashesIn(text: string): string[] {
  const { path, consistency } = JSON.parse(text) as { path?: string[]; consistency?: string[] }
  return path ?? consistency!.map((hash) => Buffer.from(hash, 'base64').toString('hex'))
}

test('without a key no consistency proof of a private log holds a hash of fewer than 256 entries', async () => {
  const stage = await stageOfEntries()
  const inside = nodesBelowTiles()
  const sizes = [0, 1, 2, 3, 4, 5, 8, 127, 128, 255, 256, 257, 384, 511, 512, 513, 519, 520]
  const pairs = sizes.flatMap((old) =>
    sizes.filter((size) => size >= old).map((size) => [old, size] as const),
  )
  const { key: operator } = await stage.key('operator')
  const { key: admin } = await stage.key('admin')
  const open: string[] = []
  const leaked: unknown[] = []
  await eachOf(16, pairs, async ([old, size]) => {
    for (const key of [undefined, operator, admin, stage.provisioning]) {
      for (const path of [
        `v1/proofs/consistency?old=${old}&new=${size}`,
        `ct/v1/get-sth-consistency?first=${old}&second=${size}`,
      ]) {
        const { status, code, text } = await stage.ask('GET', `/logs/halfopen/${path}`, { key })
        if (status === 200) {
          if (key === undefined && path.startsWith('v1')) open.push(`${old} ${size}`)
          if (hashesIn(text).some((hash) => inside.has(hash))) leaked.push([path, key])
        } else {
          expect([status, code]).toEqual(key === undefined ? [401, 'unauthenticated'] : [403, 'forbidden'])
          expect(text).toContain('where both sizes are 0 or a multiple of 256')
          expect(text).toContain('role monitor, writer, reader or auditor')
        }
      }
    }
  })
  expect(leaked).toEqual([])
  expect(open.toSorted()).toEqual(['0 0', '0 256', '0 512', '256 256', '256 512', '512 512'])
})

test('of the tiles that are open, none holds a hash of fewer than 256 entries', async () => {
  const stage = await stageOfEntries()
  const inside = nodesBelowTiles()
  for (const path of ['1/000.p/1', '1/000.p/2']) {
    const { status, text } = await stage.ask('GET', `/logs/halfopen/tile/${path}`)
    expect(status).toBe(200)
    const hex = Buffer.from(text, 'latin1').toString('hex')
    expect(hex.match(/.{64}/g)!.filter((hash) => inside.has(hash))).toEqual([])
  }
  for (const path of ['0/000', '0/002.p/8', '1/000', '2/000', '1/000.p/3'])
    expect((await stage.ask('GET', `/logs/halfopen/tile/${path}`)).status).not.toBe(200)
})

test('a head just above an anchor confirms a guess, as the page on access says', async () => {
  const [, halfopen] = await logsOfEachKind()
  const stage = await Stage.open({ logs: [halfopen!] })
  const root = async (): Promise<string> =>
    (await stage.ask('GET', '/logs/halfopen/checkpoint')).text.split('\n')[2]!
  const guess = (index: number): Hash => leafHash(encodeUtf8(entryAt(index)))
  await halfopen!.add(entryAt(0))
  expect(await root()).toBe(toBase64(guess(0)))
  await halfopen!.add(...Array.from({ length: 256 }, (_, i) => entryAt(i + 1)))
  const tile = Buffer.from((await stage.ask('GET', '/logs/halfopen/tile/1/000.p/1')).text, 'latin1')
  expect(await root()).toBe(toBase64(nodeHash(asHash(tile, 'tile'), guess(256))))
})

test('keys of four roles get every proof of a private log, for their logs alone', async () => {
  const stage = await stageOfEntries()
  for (const role of ['writer', 'reader', 'auditor', 'monitor'] as const) {
    const { key } = await stage.key(role, ['halfopen'])
    const ask = async (log: string): Promise<number> =>
      (await stage.ask('GET', `/logs/${log}/v1/proofs/consistency?old=3&new=4`, { key })).status
    expect([await ask('halfopen'), await ask('closed'), await ask('meta')]).toEqual([200, 404, 403])
  }
})

test('a writer of a private log gets the proofs of its batch, and that it extends what it knew', async () => {
  const stage = await stageOfEntries()
  const { key } = await stage.key('writer', ['halfopen'])
  const headers = { 'content-type': 'application/x-ndjson' }
  const asked = await stage.ask('POST', '/logs/halfopen/v1/batches?proof=true', {
    key,
    headers,
    body: 'a\nb',
  })
  const { proofs, checkpoint } = JSON.parse(asked.text) as { proofs: string[][]; checkpoint: string }
  expect([asked.status, proofs.length, checkpoint.split('\n')[1]]).toEqual([200, 2, '522'])
  const path = '/logs/halfopen/v1/proofs/consistency?old=520&new=522'
  expect((await stage.ask('GET', path, { key })).status).toBe(200)
})

test('sizes that are left out, repeated or not written as sizes take a key', () => {
  for (const size of [undefined, '', '256 ', '+256', '0256', '2.56e2', '-256', '1', '257', '0x100'])
    expect([size, proofPermission(['256', size])]).toEqual([size, 'read_proofs'])
  for (const size of ['0', '256', '1024']) expect(proofPermission([size, '512'])).toBe('read_heads')
})

test.each([
  'old=256&new=512&old=3',
  'old=256&old=256&new=512',
  'old=256',
  'old=3&new=256',
  'new=4&old=3',
  '%6fld=3&new=4',
])('nobody gets a proof without a key by asking for %s', async (search) => {
  const stage = await Stage.open()
  const { status } = await stage.ask('GET', `/logs/halfopen/v1/proofs/consistency?${search}`)
  expect(status).toBe(401)
})
