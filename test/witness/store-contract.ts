import { describe, expect, test } from 'vitest'
import { parseNote } from '../../src/note/note.ts'
import { cosignedHead, type CosignedHead } from '../../src/witness/head.ts'
import { originHash } from '../../src/witness/logs.ts'
import type { WitnessStore } from '../../src/witness/store.ts'
import { FakeLog } from './fake-log.ts'
import { ED25519, NOW_SECONDS } from './fixture.ts'

export const LOG = new FakeLog('log.example/stored', 30)
export const HASH = originHash(LOG.origin)

/** A head as a witness would keep it. */
export async function headOf(log: FakeLog, size: number): Promise<CosignedHead> {
  const note = parseNote(await log.checkpoint(size))
  return cosignedHead(note, [ED25519.cosign(note.text, NOW_SECONDS + size)], NOW_SECONDS + size)
}

/** What every store of a witness promises. */
export function witnessStoreContract(
  name: string,
  open: () => Promise<WitnessStore>,
  reopen?: (store: WitnessStore) => Promise<WitnessStore>,
): void {
  const again = reopen ?? (async (store: WitnessStore) => store)

  describe(`the contract of a witness's store, kept by ${name}`, () => {
    test('what is kept is there, also after a restart, and nothing else', async () => {
      const store = await open()
      const next = await headOf(LOG, 7)
      expect(await store.update(HASH, async (held) => ({ next, result: held }))).toBeUndefined()
      expect(await store.update(HASH, async (held) => ({ result: held?.note }))).toBe(next.note)
      const reopened = await again(store)
      expect(reopened.get(HASH)).toEqual(next)
      expect([...reopened.heads()]).toHaveLength(1)
      expect(reopened.get(originHash('log.example/none'))).toBeUndefined()
      await reopened.close()
    })

    test('steps of one origin wait for each other, and each sees what the one before kept', async () => {
      const store = await open()
      const heads = await Promise.all([1, 2, 3, 4, 5].map((size) => headOf(LOG, size)))
      let running = 0
      const seen = await Promise.all(
        heads.map((next) =>
          store.update(HASH, async (held) => {
            expect(++running).toBe(1)
            await new Promise((resolve) => setImmediate(resolve))
            running--
            return { next, result: held?.checkpoint.size }
          }),
        ),
      )
      expect(seen).toEqual([undefined, 1, 2, 3, 4])
      await store.close()
    })

    test('steps of other origins do not wait', async () => {
      const store = await open()
      let release = (): void => {}
      const stuck = store.update(HASH, async () => {
        await new Promise<void>((resolve) => (release = resolve))
        return { result: 'late' }
      })
      const other = new FakeLog('log.example/other', 3)
      const next = await headOf(other, 3)
      expect(await store.update(originHash(other.origin), async () => ({ next, result: 'soon' }))).toBe(
        'soon',
      )
      release()
      expect(await stuck).toBe('late')
      await store.close()
    })

    test('a step that fails changes nothing, and the next one runs', async () => {
      const store = await open()
      const failing = store.update(HASH, async () => Promise.reject(new Error('no')))
      const next = store.update(HASH, async (held) => ({ result: held }))
      await expect(failing).rejects.toThrow('no')
      expect(await next).toBeUndefined()
      expect(store.failure).toBeUndefined()
      await store.close()
    })

    test('too many steps that wait for one origin are refused, and closing lets the others end', async () => {
      const store = await open()
      const steps = Array.from({ length: 70 }, (_, i) => store.update(HASH, async () => ({ result: i })))
      const settled = Promise.allSettled(steps)
      await store.close()
      const reasons = (await settled).map((step) =>
        step.status === 'rejected' ? (step.reason as { code: string }).code : 'ran',
      )
      expect(reasons).toEqual([...Array<string>(64).fill('ran'), ...Array<string>(6).fill('rate_limited')])
      await expect(store.update(HASH, async () => ({ result: 0 }))).rejects.toMatchObject({
        code: 'shutting_down',
      })
    })
  })
}
