import { expect, test } from 'vitest'
import { ByteReader } from '../../src/mirror/packages.ts'
import { FakeLog } from '../client/fake-log.ts'
import { asMirrored, checkpointBody, testMirror, uploadBody, type TestMirror } from './fixture.ts'

/** A reader of one piece after the other, each once it is let go. */
function gated(
  first: Uint8Array,
  rest: Uint8Array,
): { reader: ByteReader; asked: Promise<void>; go: () => void } {
  let go = (): void => {}
  let wasAsked = (): void => {}
  const asked = new Promise<void>((resolve) => (wasAsked = resolve))
  const open = new Promise<void>((resolve) => (go = resolve))
  const pieces = [first, rest]
  const reader = new ByteReader(async () => {
    const piece = pieces.shift()
    if (piece !== rest) return piece
    wasAsked()
    await open
    return piece
  })
  return { reader, asked, go }
}

async function twoPending(): Promise<TestMirror & { source: FakeLog }> {
  const source = await FakeLog.create(600)
  const stage = await testMirror(asMirrored(source))
  await stage.mirror.addCheckpoint(await checkpointBody(source, 0, 300))
  await stage.mirror.addCheckpoint(await checkpointBody(source, 300, 600))
  return { ...stage, source }
}

test('an upload that ends below what was cosigned while it came is told so, and nothing goes back', async () => {
  const { mirror, log, source } = await twoPending()
  const body = await uploadBody(source, { end: 300 })
  const slow = gated(body.subarray(0, 100), body.subarray(100))
  const late = mirror.addEntries(slow.reader)
  await slow.asked
  const whole = gated(await uploadBody(source, { end: 600 }), new Uint8Array(0))
  expect((await mirror.addEntries(whole.reader)).kind).toBe('cosigned')
  const served = log.published
  slow.go()
  expect(await late).toMatchObject({ kind: 'conflict', info: { size: 600, nextEntry: 600 } })
  expect(log.published).toEqual(served)
})

test('a smaller checkpoint is never made the mirror checkpoint, whoever asks', async () => {
  const { mirror, log, source } = await twoPending()
  const smaller = log.signedAt(300)!
  const whole = gated(await uploadBody(source, { end: 600 }), new Uint8Array(0))
  await mirror.addEntries(whole.reader)
  expect(await log.advance(smaller)).toBeUndefined()
  expect(log.published.size).toBe(600)
})

test('what is cosigned is what is stored: a checkpoint of other entries is refused', async () => {
  const { mirror, log, source } = await twoPending()
  await mirror.addEntries(gated(await uploadBody(source, { end: 300 }), new Uint8Array(0)).reader)
  const other = await FakeLog.create(300, (text) => `${text}!`)
  const held = log.signedAt(300)!
  const wrong = { ...held, checkpoint: { ...held.checkpoint, root: other.tree.root } }
  await expect(log.advance(wrong)).rejects.toMatchObject({ code: 'corrupt' })
})
