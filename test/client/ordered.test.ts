import { describe, expect, it } from 'vitest'
import { allInOrder, inOrder } from '../../src/client/ordered.ts'

const later = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function* endless(): Generator<number> {
  for (let i = 0; ; i++) yield i
}

describe('inOrder', () => {
  it('gives results in the order of the items, whichever is done first', async () => {
    const results = await allInOrder([3, 0, 2, 1], 4, async (turns) => {
      for (let i = 0; i < turns; i++) await later()
      return turns
    })
    expect(results).toEqual([3, 0, 2, 1])
  })

  it('has no more under way than it may, and no fewer than it could', async () => {
    let underWay = 0
    let most = 0
    const task = async (): Promise<void> => {
      most = Math.max(most, ++underWay)
      await later()
      underWay--
    }
    let taken = 0
    for await (const _ of inOrder(endless(), 3, task)) if (++taken === 50) break
    expect(most).toBe(3)
  })

  it('fails with the first failure in order, and leaves none of the others unhandled', async () => {
    const unhandled: unknown[] = []
    const listen = (reason: unknown): void => void unhandled.push(reason)
    process.on('unhandledRejection', listen)
    const task = async (item: number): Promise<number> => {
      if (item === 1) await later()
      if (item > 0) throw new Error(`task ${item}`)
      return item
    }
    await expect(allInOrder([0, 1, 2, 3], 4, task)).rejects.toThrow('task 1')
    await later()
    await later()
    process.off('unhandledRejection', listen)
    expect(unhandled).toEqual([])
  })
})
