import { expect, test } from 'vitest'
import { publishedRecord } from '../../src/cli/restore/head.ts'
import { decodeHead } from '../../src/log/head.ts'
import { EMPTY_ROOT } from '../../src/merkle/hash.ts'
import { formatCheckpoint } from '../../src/note/checkpoint.ts'
import { formatVerifierKey, generateSigningKey } from '../../src/note/key.ts'
import { parseNote, signNote } from '../../src/note/note.ts'

test('what readers see first has the lines of the restored head, and the cosignatures that came along', async () => {
  const [first, second, other] = ['log.example/main', 'log.example/main', 'witness.example'].map((name) =>
    generateSigningKey(name),
  )
  const text = formatCheckpoint({ origin: 'log.example/main', size: 0, root: EMPTY_ROOT })
  const checkpoint = await signNote(text, [first!, second!])
  const head = {
    size: 0,
    root: EMPTY_ROOT,
    timestampMs: 5,
    checkpoint,
    treeHeadSignature: new Uint8Array(70),
    final: { successor: 'https://log.example/next' },
  }
  const note = await signNote(text, [first!, other!])
  const policy = `log ${formatVerifierKey(first!.verifier)}\nquorum none\n`
  const { record, cosigned } = publishedRecord(policy, head, note, undefined)
  const shown = decodeHead(record, 'test')
  expect(cosigned).toBe(true)
  expect(parseNote(shown.checkpoint).signatures.map(({ id }) => id)).toEqual(
    [first!, second!, other!].map(({ verifier }) => verifier.id),
  )
  expect(shown.final).toEqual(head.final)
})
