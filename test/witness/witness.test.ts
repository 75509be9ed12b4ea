import { describe, expect, test } from 'vitest'
import { parseBase64 } from '../../src/bytes/base64.ts'
import { decodeUtf8, encodeUtf8 } from '../../src/bytes/text.ts'
import { asHash, EMPTY_ROOT } from '../../src/merkle/hash.ts'
import { formatCheckpoint } from '../../src/note/checkpoint.ts'
import { parseCosignature, verifySubtree } from '../../src/note/cosignature.ts'
import { cosigningSigner, generateCosignerKey } from '../../src/note/cosigner.ts'
import { KEY_TYPE } from '../../src/note/key-id.ts'
import { formatNote, parseNote, parseSignatures, signNote } from '../../src/note/note.ts'
import { shownByProof } from '../../src/witness/evidence.ts'
import { addCheckpoint, FakeLog, testSigner } from './fake-log.ts'
import { ED25519, ML_DSA, NAME, NOW_SECONDS, outcome, testWitness, type TestWitness } from './fixture.ts'

const log = new FakeLog('log.example/demo', 40)

/** The time of the only line of an answer by the Ed25519 key. */
function timeOf(lines: string): number | undefined {
  return parseCosignature(parseSignatures(lines)[0]!.signature, KEY_TYPE.ed25519Cosignature).timestampSeconds
}

async function linesOf(answer: ReturnType<TestWitness['witness']['addCheckpoint']>): Promise<string> {
  const answered = await answer
  return answered.kind === 'cosigned' ? answered.lines : `not cosigned: ${answered.kind}`
}

describe('cosigning', () => {
  test('a log that grows is cosigned at every size, with both kinds of keys', async () => {
    const { witness, served } = testWitness([log], { keys: [ED25519, ML_DSA] })
    for (const [from, to] of [
      [0, 0],
      [0, 1],
      [1, 7],
      [7, 8],
      [8, 40],
    ] as const) {
      const lines = await linesOf(witness.addCheckpoint(await log.request(from, to)))
      expect(parseSignatures(lines).map(({ name, id }) => [name, id])).toEqual([
        [NAME, ED25519.id],
        [NAME, ML_DSA.id],
      ])
      expect(served(log)?.verifiedBy.map(({ type }) => type)).toEqual([1, 4, 6])
      expect(served(log)?.text).toContain(`\n${to}\n`)
    }
  })

  test('what is served has exactly the lines that were answered', async () => {
    const { witness, served } = testWitness([log], { keys: [ED25519, ML_DSA] })
    const lines = await linesOf(witness.addCheckpoint(await log.request(0, 7)))
    expect(served(log)?.signatures.slice(1)).toEqual(parseSignatures(lines))
  })

  test('logs do not know of each other', async () => {
    const other = new FakeLog('log.example/other', 5)
    const { witness } = testWitness([log, other])
    expect(await outcome(witness.addCheckpoint(await log.request(0, 7)))).toBe('cosigned')
    expect(await outcome(witness.addCheckpoint(await other.request(0, 5)))).toBe('cosigned')
    expect(await outcome(witness.addCheckpoint(await other.request(0, 5)))).toBe('conflict 5')
  })

  test('any one of several keys of a log suffices, and all that verify are served', async () => {
    const rotating = new FakeLog('log.example/two', 9, [
      testSigner('log.example/two', 1),
      testSigner('log.example/two', 2),
    ])
    const { witness, served } = testWitness([rotating])
    const [first, second] = rotating.signers
    const old = await rotating.checkpoint(3, { signers: [first!] })
    expect(await outcome(witness.addCheckpoint(addCheckpoint(0, [], old)))).toBe('cosigned')
    const both = await rotating.checkpoint(5, { signers: [second!, first!] })
    expect(await outcome(witness.addCheckpoint(addCheckpoint(3, rotating.proof(3, 5), both)))).toBe(
      'cosigned',
    )
    expect(served(rotating)?.verifiedBy).toHaveLength(3)
  })

  test('a log that signs with ML-DSA-44 alone is cosigned, unless extension lines are there that it did not sign', async () => {
    const key = generateCosignerKey('log.example/pq', KEY_TYPE.mlDsa44Cosignature, new Uint8Array(32).fill(3))
    const signer = { ...cosigningSigner(key, () => NOW_SECONDS), verifier: key.verifier }
    const pq = new FakeLog('log.example/pq', 9, [signer])
    const { witness } = testWitness([pq])
    expect(await outcome(witness.addCheckpoint(await pq.request(0, 3)))).toBe('cosigned')
    const extended = await pq.checkpoint(5, { extensions: ['somebody wrote this'] })
    expect(await outcome(witness.addCheckpoint(addCheckpoint(3, pq.proof(3, 5), extended)))).toBe(
      'bad_signature',
    )
  })

  test('extension lines that the log signed are cosigned and served with it', async () => {
    const { witness, served } = testWitness([log])
    const extended = await log.checkpoint(5, { extensions: ['extra line'] })
    expect(await outcome(witness.addCheckpoint(addCheckpoint(0, [], extended)))).toBe('cosigned')
    expect(served(log)?.text).toMatch(/\nextra line\n$/)
  })
})

describe('refusing', () => {
  const grown = async (): Promise<TestWitness> => {
    const made = testWitness([log])
    await made.witness.addCheckpoint(await log.request(0, 7))
    return made
  }

  test('another old size than the cosigned one is a conflict that names the right one', async () => {
    const { witness } = await grown()
    for (const from of [0, 3, 8]) {
      expect(await outcome(witness.addCheckpoint(await log.request(from, 12)))).toBe('conflict 7')
    }
  })

  test('a size that shrinks is refused, whatever old size it is sent with', async () => {
    const { witness, served } = await grown()
    const smaller = await log.checkpoint(5)
    expect(await outcome(witness.addCheckpoint(addCheckpoint(7, [], smaller)))).toBe('out_of_range')
    expect(await outcome(witness.addCheckpoint(addCheckpoint(5, [], smaller)))).toBe('conflict 7')
    expect(await outcome(witness.addCheckpoint(addCheckpoint(0, [], smaller)))).toBe('conflict 7')
    expect(served(log)?.text).toContain('\n7\n')
  })

  test('a proof of another length, another order or another history is refused', async () => {
    const { witness } = await grown()
    const note = await log.checkpoint(12)
    const proof = log.proof(7, 12)
    const wrong = [[], proof.slice(1), [...proof, proof[0]!], proof.toReversed(), log.fork(3).proof(7, 12)]
    for (const path of wrong) {
      expect(await outcome(witness.addCheckpoint(addCheckpoint(7, path, note)))).toBe('bad_proof')
    }
    expect(await outcome(witness.addCheckpoint(addCheckpoint(7, proof, note)))).toBe('cosigned')
  })

  test('63 proof lines are read and 64 are not', async () => {
    const { witness } = await grown()
    const note = await log.checkpoint(12)
    const lines = (n: number): Uint8Array =>
      addCheckpoint(7, Array(n).fill(log.root(3)) as Uint8Array[], note)
    expect(await outcome(witness.addCheckpoint(lines(63)))).toBe('bad_proof')
    await expect(witness.addCheckpoint(lines(64))).rejects.toMatchObject({ code: 'malformed' })
  })

  test('a log that is not on the list is not known, even if it is signed by a key that is', async () => {
    const { witness } = await grown()
    const unknown = new FakeLog('log.example/unknown', 3, log.signers)
    await expect(witness.addCheckpoint(await unknown.request(0, 3))).rejects.toMatchObject({
      code: 'not_found',
    })
  })

  test('no line by a key of the log, or one that does not verify, is refused before anything else', async () => {
    const { witness } = await grown()
    const stranger = await log.checkpoint(12, { signers: [testSigner(log.origin, 77)] })
    expect(await outcome(witness.addCheckpoint(addCheckpoint(99, [], stranger)))).toBe('untrusted_signer')
    const { text } = parseNote(await log.checkpoint(12))
    const { signatures } = parseNote(await log.checkpoint(11))
    const moved = formatNote({ text, signatures })
    expect(await outcome(witness.addCheckpoint(addCheckpoint(99, [], moved)))).toBe('bad_signature')
  })

  test('one bad line by a trusted key condemns a checkpoint that another trusted key signed', async () => {
    const two = new FakeLog('log.example/two', 9, [
      testSigner('log.example/two', 1),
      testSigner('log.example/two', 2),
    ])
    const { witness } = testWitness([two])
    const good = parseNote(await two.checkpoint(3))
    const bad = parseNote(await two.checkpoint(4)).signatures[1]!
    const mixed = formatNote({ text: good.text, signatures: [good.signatures[0]!, bad] })
    expect(await outcome(witness.addCheckpoint(addCheckpoint(0, [], mixed)))).toBe('bad_signature')
  })

  test('the empty tree has one root hash', async () => {
    const { witness } = testWitness([log])
    const text = formatCheckpoint({ origin: log.origin, size: 0, root: log.root(1) })
    const note = await signNote(text, log.signers)
    expect(await outcome(witness.addCheckpoint(addCheckpoint(0, [], note)))).toBe('bad_proof')
    expect(await outcome(witness.addCheckpoint(await log.request(0, 0)))).toBe('cosigned')
    expect(
      await outcome(witness.addCheckpoint(addCheckpoint(0, [EMPTY_ROOT], await log.checkpoint(7)))),
    ).toBe('bad_proof')
  })

  test('random bytes, and bodies with any one byte changed, are never cosigned', async () => {
    const { witness } = await grown()
    const body = await log.request(7, 12)
    for (let at = 0; at < body.length; at++) {
      const changed = body.slice()
      changed[at] = changed[at]! ^ 1
      const answer = await outcome(witness.addCheckpoint(changed)).catch(
        (error: { code: string }) => error.code,
      )
      // A change of the log's name in its line, for one, makes that line a stranger's.
      const refusals = [
        'malformed',
        'not_found',
        'untrusted_signer',
        'bad_signature',
        'bad_proof',
        'out_of_range',
        'conflict 7',
      ]
      expect(refusals, `byte ${at}`).toContain(answer)
    }
  })
})

describe('lines by others', () => {
  test('lines that imitate the witness itself are neither stored nor served, and do not stand in its way later', async () => {
    const { witness, served } = testWitness([log], { keys: [ED25519, ML_DSA] })
    const imitate = async (size: number): Promise<string> => {
      const { text, signatures } = parseNote(await log.checkpoint(size))
      const fakes = [ED25519, ML_DSA].map(({ name, id }) => ({
        name,
        id,
        signature: new Uint8Array(72).fill(1),
      }))
      return formatNote({ text, signatures: [...fakes, ...signatures, ...fakes] })
    }
    expect(await outcome(witness.addCheckpoint(addCheckpoint(0, [], await imitate(7))))).toBe('cosigned')
    expect(served(log)).toMatchObject({ unverified: [], verifiedBy: { length: 3 } })
    expect(await outcome(witness.addCheckpoint(addCheckpoint(7, log.proof(7, 12), await imitate(12))))).toBe(
      'cosigned',
    )
    expect(served(log)).toMatchObject({ unverified: [], verifiedBy: { length: 3 } })
  })

  test('lines by other witnesses, and second lines by the log, are left out', async () => {
    const { witness, served } = testWitness([log])
    const { text, signatures } = parseNote(await log.checkpoint(7))
    const second = { ...signatures[0]!, signature: new Uint8Array(64) }
    const note = formatNote({ text, signatures: [...signatures, second, { ...second, name: 'who.example' }] })
    expect(await outcome(witness.addCheckpoint(addCheckpoint(0, [], note)))).toBe('cosigned')
    expect(served(log)).toMatchObject({ unverified: [], verifiedBy: { length: 2 } })
  })
})

describe('the clock', () => {
  const refresh = async ({ witness }: TestWitness, size = 7) =>
    timeOf(await linesOf(witness.addCheckpoint(await log.request(size, size))))

  test('asking again gets a fresh time, and within one second the same lines', async () => {
    const made = testWitness([log])
    const first = await linesOf(made.witness.addCheckpoint(await log.request(0, 7)))
    expect(timeOf(first)).toBe(NOW_SECONDS)
    expect(await linesOf(made.witness.addCheckpoint(await log.request(7, 7)))).toBe(first)
    made.clock.seconds += 60
    expect(await refresh(made)).toBe(NOW_SECONDS + 60)
  })

  test('a clock that goes back does not take the time of a log back with it', async () => {
    const made = testWitness([log])
    await made.witness.addCheckpoint(await log.request(0, 7))
    made.clock.seconds -= 86_400
    expect(await refresh(made)).toBe(NOW_SECONDS)
    const grown = await linesOf(made.witness.addCheckpoint(await log.request(7, 12)))
    expect(timeOf(grown)).toBe(NOW_SECONDS)
    made.clock.seconds = NOW_SECONDS + 1
    expect(await refresh(made, 12)).toBe(NOW_SECONDS + 1)
  })

  test.each([0, -5])('a clock that stands at %s seconds does not make a time of 0', async (seconds) => {
    const made = testWitness([log])
    made.clock.seconds = seconds
    expect(timeOf(await linesOf(made.witness.addCheckpoint(await log.request(0, 7))))).toBe(1)
  })

  test('a second key of the log on the same checkpoint is served, even within one second', async () => {
    const two = new FakeLog('log.example/two', 9, [
      testSigner('log.example/two', 1),
      testSigner('log.example/two', 2),
    ])
    const { witness, served } = testWitness([two])
    const first = await two.checkpoint(3, { signers: [two.signers[0]!] })
    await witness.addCheckpoint(addCheckpoint(0, [], first))
    await witness.addCheckpoint(await two.request(3, 3))
    expect(served(two)?.verifiedBy).toHaveLength(3)
  })
})

describe('signing subtrees', () => {
  const keys = [ED25519, ML_DSA]
  const cosigned = async (made: TestWitness, size: number): Promise<string> => {
    await made.witness.addCheckpoint(await log.request(0, size))
    return formatNote(made.served(log)!)
  }
  const body = (start: number, end: number, size: number, note: string): Uint8Array => {
    const { hash, path } = log.subtree(start, end, size)
    const lines = [hash, ...path].map((bytes) => Buffer.from(bytes).toString('base64'))
    return encodeUtf8([`subtree ${start} ${end}`, ...lines, '', note].join('\n'))
  }

  test('a part of a tree that this witness cosigned is signed with the time 0, by the post-quantum key alone', async () => {
    const made = testWitness([log], { keys })
    const note = await cosigned(made, 14)
    for (const [start, end] of [
      [0, 14],
      [8, 13],
      [4, 8],
      [13, 14],
    ] as const) {
      const answer = await made.witness.signSubtree(body(start, end, 14, note))
      if (answer.kind !== 'cosigned') throw new Error(answer.kind)
      const [line, ...more] = parseSignatures(answer.lines)
      expect(more).toEqual([])
      const subtree = {
        origin: log.origin,
        start,
        end,
        hash: asHash(log.subtree(start, end, 14).hash, 'hash'),
      }
      expect(verifySubtree(ML_DSA.verifier, subtree, line!.signature).timestampSeconds).toBe(0)
    }
  })

  test('the signature of the log, or of the Ed25519 key, buys none', async () => {
    const made = testWitness([log], { keys })
    const note = parseNote(await cosigned(made, 14))
    const only = (id: number): string =>
      formatNote({ ...note, signatures: note.signatures.filter((line) => line.id === id) })
    for (const { id } of [log.signers[0]!, ED25519]) {
      expect(await outcome(made.witness.signSubtree(body(8, 13, 14, only(id))))).toBe('untrusted_signer')
    }
    expect(await outcome(made.witness.signSubtree(body(8, 13, 14, only(ML_DSA.id))))).toBe('cosigned')
  })

  test('a subtree signature is no cosignature on a checkpoint: it buys no other', async () => {
    const made = testWitness([log], { keys })
    const note = parseNote(await cosigned(made, 14))
    const answer = await made.witness.signSubtree(body(0, 14, 14, formatNote(note)))
    if (answer.kind !== 'cosigned') throw new Error(answer.kind)
    const signatures = parseSignatures(answer.lines)
    expect(
      await outcome(made.witness.signSubtree(body(8, 13, 14, formatNote({ ...note, signatures })))),
    ).toBe('bad_signature')
  })

  test('a witness without such a key signs none', async () => {
    const { witness } = testWitness([log])
    await expect(witness.signSubtree(new Uint8Array())).rejects.toMatchObject({ code: 'not_found' })
  })
})

describe('evidence against a log', () => {
  const fork = log.fork(3)

  test('another root hash at the cosigned size is kept, with both signed checkpoints', async () => {
    const { witness, evidence, told, served } = testWitness([log])
    await witness.addCheckpoint(await log.request(0, 7))
    expect(await outcome(witness.addCheckpoint(await fork.request(7, 7)))).toBe('fork')
    expect(await outcome(witness.addCheckpoint(await fork.request(0, 7)))).toBe('conflict 7')
    expect(told).toEqual([
      ['fork', 'kept'],
      ['fork', 'kept'],
    ])
    expect(evidence.kept[0]).toMatchObject({
      held: formatNote(served(log)!),
      suspect: await fork.checkpoint(7),
    })
  })

  test('the honest proof of another history convicts the log that sends it', async () => {
    const { witness, evidence } = testWitness([log])
    await witness.addCheckpoint(await log.request(0, 7))
    const path = fork.proof(7, 12)
    expect(await outcome(witness.addCheckpoint(addCheckpoint(7, path, await fork.checkpoint(12))))).toBe(
      'bad_proof',
    )
    expect(evidence.kept).toMatchObject([{ kind: 'fork', proof: { olderRoot: fork.root(7), path } }])
  })

  test('it shows at every pair of sizes what the other history had, but for powers of two, whose hash no proof holds', () => {
    for (let newSize = 2; newSize <= 12; newSize++) {
      for (let oldSize = 1; oldSize < newSize; oldSize++) {
        const path = fork.proof(oldSize, newSize)
        const suspect = { size: newSize, root: fork.root(newSize) }
        const isPowerOfTwo = Number.isInteger(Math.log2(oldSize))
        const shown = isPowerOfTwo ? undefined : { olderRoot: fork.root(oldSize), path }
        expect(shownByProof({ oldSize, path }, suspect), `${oldSize} to ${newSize}`).toEqual(shown)
      }
    }
  })

  test('a checkpoint that came with a wrong proof is kept, and convicts nobody', async () => {
    const { witness, evidence } = testWitness([log])
    await witness.addCheckpoint(await log.request(0, 7))
    const wrong = log.proof(7, 12).with(0, log.root(3))
    for (const path of [wrong, wrong.slice(1), []]) {
      expect(await outcome(witness.addCheckpoint(addCheckpoint(7, path, await log.checkpoint(12))))).toBe(
        'bad_proof',
      )
    }
    expect(evidence.kept.map(({ kind, proof }) => [kind, proof])).toEqual(
      Array.from({ length: 3 }, () => ['inconsistent', undefined]),
    )
  })

  test('an empty tree with leaves in it is kept', async () => {
    const { witness, told } = testWitness([log])
    const text = formatCheckpoint({ origin: log.origin, size: 0, root: log.root(1) })
    await witness.addCheckpoint(addCheckpoint(0, [], await signNote(text, log.signers)))
    expect(told).toEqual([['empty_root', 'kept']])
  })

  test('what proves nothing is not kept: old checkpoints, wrong old sizes, lines by strangers', async () => {
    const { witness, evidence } = testWitness([log])
    await witness.addCheckpoint(await log.request(0, 7))
    await witness.addCheckpoint(await log.request(3, 12))
    await witness.addCheckpoint(await log.request(0, 5))
    await witness.addCheckpoint(addCheckpoint(7, [], await log.checkpoint(5)))
    await witness.addCheckpoint(addCheckpoint(9, [], await log.checkpoint(8)))
    await witness.addCheckpoint(addCheckpoint(7, [log.root(1)], await log.checkpoint(7)))
    await witness.addCheckpoint(
      addCheckpoint(7, [], await fork.checkpoint(7, { signers: [testSigner('x')] })),
    )
    expect(evidence.kept).toEqual([])
  })

  test('what a stranger wrote on the note is not in the evidence', async () => {
    const { witness, evidence } = testWitness([log])
    await witness.addCheckpoint(await log.request(0, 7))
    const { text, signatures } = parseNote(await fork.checkpoint(7))
    const line = { name: NAME, id: ED25519.id, signature: parseBase64('AAAA', 'test') }
    await witness.addCheckpoint(addCheckpoint(7, [], formatNote({ text, signatures: [line, ...signatures] })))
    expect(evidence.kept[0]?.suspect).toBe(await fork.checkpoint(7))
  })

  test('evidence that cannot be kept is told all the same, and the answer stands', async () => {
    const { SteleError } = await import('../../src/errors.ts')
    const keep = () => Promise.reject(new SteleError('io_error', 'disk full'))
    const { witness, told } = testWitness([log], { evidence: { keep } })
    await witness.addCheckpoint(await log.request(0, 7))
    expect(await outcome(witness.addCheckpoint(await fork.request(7, 7)))).toBe('fork')
    expect(told).toEqual([['fork', 'io_error']])
  })
})

test('an answer is text that a log can put behind its checkpoint', async () => {
  const { witness } = testWitness([log])
  const lines = await linesOf(witness.addCheckpoint(await log.request(0, 7)))
  expect(decodeUtf8(encodeUtf8(lines), 'lines')).toMatch(/^— witness\.example\/w1 [A-Za-z0-9+/=]+\n$/)
})
