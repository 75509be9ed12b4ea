import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { toHex } from '../../src/bytes/hex.ts'
import type { AuditOptions } from '../../src/client/audit-finding.ts'
import { auditLog } from '../../src/client/audit.ts'
import { HttpFiles, type LogFiles } from '../../src/client/http-files.ts'
import { leafHash } from '../../src/merkle/hash.ts'
import { encodeBundle } from '../../src/tile/bundle.ts'
import { TileHashes } from '../../src/tile/hashes.ts'
import { formatBundlePath, formatTilePath } from '../../src/tile/path.ts'
import { FakeClock, FakeLog, flipped, ORIGIN, texts, URL_PREFIX, VKEY } from './fake-log.ts'

// 257 full tiles at level 0, a full one at level 1 and partial ones at levels 0, 1 and 2.
const SIZE = 65_536 + 300

let log: FakeLog
beforeAll(async () => {
  log = await FakeLog.create(SIZE)
})

/** The log's files; `change` puts something else in the place of one, null takes it away. */
function filesOf(
  of: FakeLog,
  change: (path: string, bytes: Uint8Array) => Uint8Array | null | undefined = () => undefined,
): LogFiles {
  const read = (path: string, bytes: Uint8Array | undefined): Uint8Array | undefined => {
    if (bytes === undefined) return undefined
    const changed = change(path, bytes)
    return changed === undefined ? bytes : (changed ?? undefined)
  }
  return {
    checkpoint: async () => of.note,
    tile: async (level, index, width) =>
      read(formatTilePath({ level, index, width }), of.tile({ level, index, width })),
    bundle: async (index, width) => read(formatBundlePath(index, width), of.bundle(index, width)),
  }
}

const OPTIONS: AuditOptions = { origin: ORIGIN, verifierKeys: [VKEY] }
const at =
  (wanted: string, make: (bytes: Uint8Array) => Uint8Array | null) => (path: string, bytes: Uint8Array) =>
    path === wanted ? make(bytes) : undefined

/** A bundle with one entry changed. */
function changedEntry(bundle: number, position: number): Uint8Array {
  const entries = log.entries.slice(bundle * 256, Math.min(SIZE, bundle * 256 + 256))
  entries[position] = flipped(entries[position]!, 0)
  return encodeBundle(entries)
}

describe('auditing an intact log', () => {
  it('checks every entry, every tile and the root, and says so', async () => {
    const progress: number[] = []
    const report = await auditLog(filesOf(log), {
      ...OPTIONS,
      onProgress: ({ entries }) => progress.push(entries),
    })
    expect(report).toMatchObject({
      verdict: 'intact',
      finding: undefined,
      notChecked: [],
      checkpoint: { size: SIZE },
    })
    expect(report.checked).toEqual({
      entries: { begin: 0, end: SIZE },
      // 258 of level 0, 2 of level 1, 1 of level 2
      tiles: 258 + 2 + 1,
      secondOpinions: 0,
      root: true,
    })
    expect(progress).toHaveLength(258)
    expect(progress.at(-1)).toBe(SIZE)
  })

  it('works at every size around the edges of tiles', async () => {
    for (const size of [0, 1, 255, 256, 257, 511, 512, 513, 1000]) {
      const small = await FakeLog.create(size)
      for (const partialTiles of ['stored', 'derived'] as const) {
        const report = await auditLog(filesOf(small), { ...OPTIONS, partialTiles })
        expect(report, `size ${size}`).toMatchObject({
          verdict: 'intact',
          checked: { entries: { begin: 0, end: size } },
        })
      }
    }
  })

  it('goes on from an earlier audit at any size, and notices what changed under it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(700), fc.nat(700), async (before, more) => {
        const growing = await FakeLog.create(before)
        const first = await auditLog(filesOf(growing), OPTIONS)
        await growing.add(texts(before, before + more))
        const second = await auditLog(filesOf(growing), { ...OPTIONS, from: first.tree })
        const checked = { entries: { begin: before, end: before + more }, root: true }
        expect(second).toMatchObject({ verdict: 'intact', checked })
        const whole = await auditLog(filesOf(growing), OPTIONS)
        expect(second.tree).toEqual(whole.tree)
        const other = await FakeLog.create(before + more, (text) => text.toUpperCase())
        const forked = await auditLog(filesOf(other), { ...OPTIONS, from: first.tree })
        if (before > 0) expect(forked.verdict).toBe('damaged')
      }),
      { numRuns: 20 },
    )
  })

  it('names what changed under an earlier audit, with new entries behind it or without', async () => {
    const { tree } = await auditLog(filesOf(await FakeLog.create(300)), OPTIONS)
    for (const size of [300, 310, 600]) {
      const same = await FakeLog.create(size)
      const other = await FakeLog.create(size, (text) => (text === 'entry 280' ? 'ENTRY 280' : text))
      const { finding } = await auditLog(filesOf(other), { ...OPTIONS, from: tree })
      const path = 'tile/0/001.p/44'
      if (size === 300) expect(finding).toMatchObject({ kind: 'tile_differs', path, position: 24 })
      else
        expect(finding).toMatchObject({
          kind: 'entry_differs',
          index: 280,
          leafHashInTile: same.tile({ level: 0, index: 1, width: 44 })!.slice(24 * 32, 25 * 32),
        })
    }
  })

  it('says what it did not check', async () => {
    const first = await auditLog(filesOf(await FakeLog.create(300)), OPTIONS)
    const more = await FakeLog.create(600)
    more.note +=
      '— witness.example/w1 IDJKvgAAAABoTuGAd29GerTDGrzxD5DJTnCY03kUd03qyzyPk2YfhAYwVsoT9na5JLQDf1OY7d1s6xj1R7sKHpEA/RjaR1kEQcsHDQ==\n'
    const options: AuditOptions = {
      ...OPTIONS,
      from: first.tree,
      partialTiles: 'derived',
      secondOpinion: () => {},
    }
    const report = await auditLog(filesOf(more), options)
    expect(report.verdict).toBe('intact')
    expect(report.notChecked).toEqual([
      'entries 0 to 299 and their tiles: audited before',
      'partial tiles: this source does not store them',
      'a second opinion on the last 88 entries: their tile is not full',
      '1 signature lines by keys not given',
    ])
    expect(report.checked.secondOpinions).toBe(1)
  })

  it('asks for a second opinion on every full level-0 tile', async () => {
    const seen: number[] = []
    const report = await auditLog(filesOf(log), {
      ...OPTIONS,
      secondOpinion: (index, leaves, root) => {
        seen.push(index)
        expect(toHex(new TileHashes(leaves).node(8, 0))).toBe(toHex(root))
        expect(toHex(leaves.subarray(0, 32))).toBe(toHex(leafHash(log.entries[index * 256]!)))
      },
    })
    expect(seen).toEqual(Array.from({ length: 257 }, (_, i) => i))
    expect(report.checked.secondOpinions).toBe(257)
    const disagrees = auditLog(filesOf(log), {
      ...OPTIONS,
      secondOpinion: () => Promise.reject(new Error('tile 0/0: I get another root')),
    })
    await expect(disagrees).rejects.toThrow('I get another root')
  })

  it('reads any log over HTTP', async () => {
    const small = await FakeLog.create(600)
    small.api = false
    const files = new HttpFiles(URL_PREFIX, { fetch: small.fetch, clock: new FakeClock() })
    expect(await auditLog(files, OPTIONS)).toMatchObject({ verdict: 'intact', checked: { tiles: 3 + 1 } })
  })
})

describe('auditing a damaged log', () => {
  it('names the entry, and whether it or the tile is damaged', async () => {
    for (const index of [0, 70, 65_535]) {
      const bundle = Math.floor(index / 256)
      const inTile = leafHash(log.entries[index]!)
      const entry = flipped(log.entries[index]!, 0)
      const change = at(formatBundlePath(bundle, 256), () => changedEntry(bundle, index % 256))
      const report = await auditLog(filesOf(log, change), OPTIONS)
      expect(report).toMatchObject({
        verdict: 'damaged',
        finding: {
          kind: 'entry_differs',
          index,
          leafHashByEntry: leafHash(entry),
          leafHashInTile: inTile,
          damaged: 'entry',
        },
        checked: { entries: { begin: 0, end: bundle * 256 }, root: false },
        tree: undefined,
      })
      expect(report.finding!.message).toBe(
        `entry ${index}: its leaf hash is ${toHex(leafHash(entry))}, the level-0 tile has ${toHex(inTile)}; ` +
          'the level above shows the entry to be damaged',
      )
      expect(report.notChecked).toEqual([
        `what lies behind entry ${bundle * 256}: the audit ended at the finding`,
      ])
    }
  })

  it('names the tile where that one is damaged, and says when it cannot tell', async () => {
    const inTile = at('tile/0/003', (bytes) => flipped(bytes, 32 * 9 + 5))
    const report = await auditLog(filesOf(log, inTile), OPTIONS)
    expect(report.finding).toMatchObject({ kind: 'entry_differs', index: 3 * 256 + 9, damaged: 'tile' })
    const atEdge = at('tile/0/257.p/44', (bytes) => flipped(bytes, 0))
    const edge = await auditLog(filesOf(log, atEdge), OPTIONS)
    expect(edge.finding).toMatchObject({ kind: 'entry_differs', index: 257 * 256, damaged: 'unknown' })
    const both = (path: string, bytes: Uint8Array) =>
      inTile(path, bytes) ?? at('tile/1/000', (b) => flipped(b, 3 * 32))(path, bytes)
    expect((await auditLog(filesOf(log, both), OPTIONS)).finding).toMatchObject({ damaged: 'unknown' })
  })

  it('names the tile and the position where a higher level does not follow from the one below', async () => {
    const cases = [
      ['tile/1/000', 77],
      ['tile/1/001.p/1', 0],
      ['tile/2/000.p/1', 0],
    ] as const
    for (const [path, position] of cases) {
      const change = at(path, (bytes) => flipped(bytes, position * 32 + 31))
      const { finding } = await auditLog(filesOf(log, change), OPTIONS)
      expect(finding).toMatchObject({ kind: 'tile_differs', path, position })
      expect(finding!.message).toContain(`${path}: expected hash `)
    }
  })

  it('tells what is missing from what is wrong', async () => {
    const small = await FakeLog.create(600)
    for (const path of small.paths().slice(1)) {
      const gone = await auditLog(
        filesOf(
          small,
          at(path, () => null),
        ),
        OPTIONS,
      )
      expect(gone.finding).toEqual({ kind: 'missing', path, message: `${path}: missing` })
      const cut = await auditLog(
        filesOf(
          small,
          at(path, (bytes) => bytes.subarray(0, -1)),
        ),
        OPTIONS,
      )
      expect(cut.finding).toMatchObject({ kind: 'malformed', path })
      const long = await auditLog(
        filesOf(
          small,
          at(path, (bytes) => new Uint8Array([...bytes, 0])),
        ),
        OPTIONS,
      )
      expect(long.finding).toMatchObject({ kind: 'malformed', path })
    }
  })

  it('finds any byte that is turned over in any file', async () => {
    const small = await FakeLog.create(600)
    const paths = small.paths().slice(1)
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...paths), fc.nat(), async (path, offset) => {
        const change = at(path, (bytes) => flipped(bytes, offset % bytes.length))
        expect((await auditLog(filesOf(small, change), OPTIONS)).verdict).toBe('damaged')
      }),
      { numRuns: 60 },
    )
  })

  it('finds a signed head that the entries do not make', async () => {
    const small = await FakeLog.create(300)
    const { root } = (await FakeLog.create(300, (text) => text.toUpperCase())).tree
    small.note = await small.sign({ root })
    const report = await auditLog(filesOf(small), OPTIONS)
    expect(report.finding).toMatchObject({
      kind: 'root_differs',
      size: 300,
      expected: root,
      found: small.tree.root,
    })
    expect(report.checked).toMatchObject({ entries: { begin: 0, end: 300 }, root: false })
  })

  it('finds entries and tiles that were replaced together', async () => {
    const small = await FakeLog.create(300)
    const other = await FakeLog.create(300, (text) => (text === 'entry 5' ? 'ENTRY 5' : text))
    other.note = small.note
    expect((await auditLog(filesOf(other), OPTIONS)).finding).toMatchObject({ kind: 'root_differs' })
  })

  it('throws where there is no head to audit against', async () => {
    const small = await FakeLog.create(300)
    const audit = (note: string, options = OPTIONS) =>
      auditLog({ ...filesOf(small), checkpoint: async () => note }, options)
    await expect(audit('x')).rejects.toMatchObject({ code: 'malformed' })
    await expect(audit(small.note.replace('300', '301'))).rejects.toMatchObject({ code: 'bad_signature' })
    await expect(audit(small.note, { ...OPTIONS, origin: 'x' })).rejects.toMatchObject({
      code: 'wrong_origin',
    })
    await expect(audit(small.note, { ...OPTIONS, verifierKeys: [] })).rejects.toMatchObject({
      code: 'untrusted_signer',
    })
    const { tree } = await auditLog(filesOf(await FakeLog.create(301)), OPTIONS)
    await expect(audit(small.note, { ...OPTIONS, from: tree })).rejects.toMatchObject({ code: 'rolled_back' })
  })
})
