import { beforeAll, describe, expect, it } from 'vitest'
import { formatEvidence, parseEvidence } from '../../src/monitor/evidence.ts'
import { verifyEvidence, type EvidenceJudged } from '../../src/monitor/evidence-verdict.ts'
import { KEY_TYPE } from '../../src/note/key-id.ts'
import { generateSigningKey, verifierKey } from '../../src/note/key.ts'
import { FakeLog, KEY, ORIGIN, problem, VKEY } from '../client/fake-log.ts'
import { getSth, stage, TREE_HEAD_SIGNER } from './stage.ts'

const upper = (text: string): string => text.toUpperCase()
const verify = (evidence: string, ...verifierKeys: Parameters<typeof verifyEvidence>[0]['verifierKeys']) =>
  verifyEvidence({ evidence, origin: ORIGIN, verifierKeys: verifierKeys.length > 0 ? verifierKeys : [VKEY] })

/** What a monitor keeps of a log of 300 entries that then shows another history of `size`. */
async function forkAt(size: number): Promise<string> {
  const { log, start, store } = await stage(300)
  const monitor = await start()
  await monitor.round()
  const other = await FakeLog.create(size, upper)
  log.lie = (path) => (path === 'checkpoint' || size > 300 ? other.file(path) : undefined)
  await monitor.round()
  return [...store.evidence.values()][0]!
}

describe('evidence of a fork', () => {
  let sameSize: string
  let larger: string
  let smaller: string
  beforeAll(async () => {
    sameSize = await forkAt(300)
    larger = await forkAt(431)
    smaller = await forkAt(256)
  })

  it('at one size is proof positive', () => {
    const judged = verify(sameSize)
    expect(judged).toMatchObject({ verdict: 'proven', kind: 'fork', sizes: [300, 300], notProven: [] })
    expect((judged as EvidenceJudged).proven.at(-1)).toContain('two root hashes for size 300')
  })

  it('at two sizes is proof positive, too, since it carries the proof that contradicts', () => {
    expect(verify(larger)).toMatchObject({ verdict: 'proven', kind: 'fork', sizes: [300, 431] })
    expect(verify(smaller)).toMatchObject({ verdict: 'proven', kind: 'fork', sizes: [300, 256] })
  })

  it('without that proof needs the log, and says what for', () => {
    const evidence = formatEvidence({ ...parseEvidence(larger), proof: undefined })
    const judged = verify(evidence)
    expect(judged).toMatchObject({ verdict: 'needs_log', kind: 'fork' })
    expect((judged as EvidenceJudged).notProven[0]).toContain('one history')
  })

  it('is read back as it was written', () => {
    for (const text of [sameSize, larger, smaller]) expect(formatEvidence(parseEvidence(text))).toBe(text)
  })

  it('is refused by somebody who trusts another key, whatever keys stand in the file', () => {
    const stranger = generateSigningKey(ORIGIN, new Uint8Array(32).fill(5)).verifier
    expect(verify(larger, stranger)).toMatchObject({ verdict: 'untrusted_signer' })
    const other = { evidence: larger, origin: 'log.example/other', verifierKeys: [VKEY] }
    expect(verifyEvidence(other)).toMatchObject({ verdict: 'wrong_log' })
  })

  it('is refused after any change to a head or to the proof', () => {
    const evidence = parseEvidence(larger)
    const [first, second] = evidence.heads
    const changed = { ...second!, note: second!.note.replace('\n431\n', '\n432\n') }
    expect(verify(formatEvidence({ ...evidence, heads: [first, changed] }))).toMatchObject({
      verdict: 'bad_signature',
    })
    for (let i = 0; i < evidence.proof!.path.length; i++) {
      const path = evidence.proof!.path.map((hash) => hash.slice() as typeof hash)
      path[i]![0]! ^= 1
      const tampered = { ...evidence, proof: { ...evidence.proof!, path } }
      expect(verify(formatEvidence(tampered))).toMatchObject({ verdict: 'bad_proof' })
    }
    const shorter = { ...evidence, proof: { ...evidence.proof!, path: evidence.proof!.path.slice(1) } }
    expect(verify(formatEvidence(shorter))).toMatchObject({ verdict: 'bad_proof' })
    expect(verify(larger.replace('"olderRoot": "', '"olderRoot": "00'))).toMatchObject({
      verdict: 'malformed',
    })
    expect(verify(larger.slice(0, -20))).toMatchObject({ verdict: 'malformed' })
    expect(verify(larger.replace('"kind"', '"kinds"'))).toMatchObject({ verdict: 'malformed' })
  })

  it('cannot be made of an honest log', async () => {
    const honest = await FakeLog.create(300)
    const early = honest.note
    await honest.add(['more'])
    const head = (note: string) =>
      ({ note, source: 'checkpoint', url: '', seenAt: '2026-01-01T00:00:00Z' }) as const
    const made = {
      kind: 'fork',
      origin: ORIGIN,
      keys: [],
      heads: [head(early), head(early)],
      proof: undefined,
      message: '',
    } as const
    expect(verify(formatEvidence(made))).toMatchObject({ verdict: 'no_contradiction' })
    const borrowed = parseEvidence(larger).proof
    const lying = formatEvidence({ ...made, heads: [head(early), head(honest.note)], proof: borrowed })
    expect(verify(lying)).toMatchObject({ verdict: 'bad_proof' })
    const grown = formatEvidence({ ...made, kind: 'rollback', heads: [head(early), head(honest.note)] })
    expect(verify(grown)).toMatchObject({ verdict: 'no_contradiction' })
  })
})

describe('evidence of a rollback', () => {
  it('of checkpoints, which have no date, is the word of who kept it', async () => {
    const { log, start, store } = await stage(300)
    const monitor = await start()
    await monitor.round()
    const yesterday = await FakeLog.create(100)
    log.lie = (path) => yesterday.file(path) ?? problem(404, 'not_found', path)
    await monitor.round()
    const judged = verify([...store.evidence.values()][0]!)
    expect(judged).toMatchObject({ verdict: 'needs_log', kind: 'rollback', sizes: [300, 100] })
    expect((judged as EvidenceJudged).notProven[0]).toContain('only the author of the file says so')
  })

  it('of tree heads is proven by the dates that the log signed', async () => {
    const { log, clock, start, store } = await stage(300)
    let tree = log.tree
    log.lie = (path) => (path === 'ct/v1/get-sth' ? getSth({ ...tree, timestampMs: clock.ms }) : undefined)
    const monitor = await start({ treeHeadKey: TREE_HEAD_SIGNER.spki })
    await monitor.round()
    tree = (await FakeLog.create(200)).tree
    clock.ms += 1_000
    await monitor.round()
    const evidence = [...store.evidence.values()][0]!
    const key = verifierKey(ORIGIN, KEY_TYPE.treeHead, TREE_HEAD_SIGNER.spki)
    expect(verify(evidence, KEY.verifier, key)).toMatchObject({ verdict: 'proven', kind: 'rollback' })
    expect(verify(evidence)).toMatchObject({ verdict: 'untrusted_signer' })
  })
})
