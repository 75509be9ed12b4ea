import { expect, test } from 'vitest'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import { openCheckpoint } from '../../src/note/checkpoint.ts'
import { parseVerifierKey } from '../../src/note/key.ts'
import { openRotation } from '../../src/note/rotation.ts'
import { addKey, retireKey, rotateKey } from '../../src/instance/change-keys.ts'
import type { Host } from '../../src/instance/host.ts'
import { openHost, StoredLog } from './fixture.ts'

interface Told {
  readonly statements: string[]
  readonly frozen: number[]
}

async function hosted(): Promise<{ stored: StoredLog; host: Host; told: Told }> {
  const stored = await StoredLog.create()
  const told: Told = { statements: [], frozen: [] }
  const host = await openHost(stored.folder, {
    events: {
      keysChanged: (_, statements) => told.statements.push(...statements),
      frozen: (_, { size }) => told.frozen.push(size),
    },
  })
  return { stored, host, told }
}

test('keys of a log that is served are changed between two openings, and whoever records them is told', async () => {
  const { stored, host, told } = await hosted()
  const log = host.get('main')!.log!
  const admitted = log.append([encodeUtf8('on its way')])
  const changing = host.changeKeys('main', () => rotateKey(stored.folder, 'main', { overlapSeconds: 0 }))
  const { key } = await changing
  expect((await admitted).placements[0]!.index).toBe(0)
  expect(told.statements.map((note) => openRotation(note).next.id)).toEqual([
    parseVerifierKey(key.verifierKey).id,
  ])
  const again = host.get('main')!
  expect(again.keys).toHaveLength(2)
  expect(again.rotations).toBe(told.statements.join(''))
  await again.log!.append([encodeUtf8('after')])
  const verifiers = [parseVerifierKey(key.verifierKey)]
  const { checkpoint } = openCheckpoint(again.log!.published.checkpoint, { origin: again.origin, verifiers })
  expect(checkpoint.size).toBe(2)
})

test('a change that is refused leaves the log serving, and two at once come one after the other', async () => {
  const { stored, host, told } = await hosted()
  const retire = host.changeKeys('main', () => retireKey(stored.folder, 'main', 'ffffffff'))
  const add = host.changeKeys('main', () => addKey(stored.folder, 'main', 'ed25519'))
  await expect(retire).rejects.toMatchObject({ code: 'not_found' })
  await add
  expect(told.statements).toHaveLength(1)
  expect(host.get('main')!.log!.status.state).toBe('serving')
  await expect(
    host.changeKeys('other', () => addKey(stored.folder, 'other', 'ed25519')),
  ).rejects.toMatchObject({
    code: 'not_found',
  })
})

test('a log that is served can be frozen, with what it has admitted', async () => {
  const { host, told } = await hosted()
  const log = host.get('main')!.log!
  const admitted = log.append([encodeUtf8('a')])
  const { head, published } = await host.freeze('main', { successor: 'https://log.example/logs/next' })
  expect((await admitted).treeSize).toBe(1)
  expect({ size: head.size, published }).toEqual({ size: 1, published: true })
  expect(told.frozen).toEqual([1])
  await expect(log.append([encodeUtf8('b')])).rejects.toMatchObject({ code: 'frozen' })
})

test('a server that stops while keys are changed ends as it should', async () => {
  const { stored, host } = await hosted()
  let go!: () => void
  const gate = new Promise<void>((resolve) => (go = resolve))
  let begin!: () => void
  const begun = new Promise<void>((resolve) => (begin = resolve))
  const changing = host.changeKeys('main', async () => {
    begin()
    await gate
    return addKey(stored.folder, 'main', 'ed25519')
  })
  await begun
  const closed = host.close()
  go()
  await changing
  await closed
  // Nobody has it open any more, and nobody changes it on behalf of a server that has stopped.
  await addKey(stored.folder, 'main', 'ed25519')
  const late = host.changeKeys('main', () => addKey(stored.folder, 'main', 'ed25519'))
  await expect(late).rejects.toMatchObject({ code: 'shutting_down' })
})
