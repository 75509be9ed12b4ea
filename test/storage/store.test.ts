import { expect, test } from 'vitest'
import { LevelStore } from '../../src/storage/level.ts'
import { MemoryStore } from '../../src/storage/memory.ts'
import { testFolder } from '../support/folder.ts'
import { step, storeContract } from './contract.ts'

storeContract('memory', () => ({ open: async () => new MemoryStore() }))

storeContract('LevelDB', () => {
  const folder = `${testFolder()}/database`
  return {
    open: () => LevelStore.open(folder, { create: true }),
    reopen: async (store) => {
      await store.close()
      return LevelStore.open(folder)
    },
  }
})

test('the memory store fails loudly when a committed tile changes', async () => {
  const store = new MemoryStore()
  await store.commit(step(0, 256))
  const forged = { level: 0, index: 0, hashes: new Uint8Array(8192).fill(9) }
  const again = { ...step(256, 257), tiles: [forged] }
  await expect(store.commit(again)).rejects.toThrow(/committed before with other hashes/)
})

test('a second opener of a database gets "locked"', async () => {
  const folder = `${testFolder()}/database`
  const store = await LevelStore.open(folder, { create: true })
  await expect(LevelStore.open(folder)).rejects.toMatchObject({ code: 'locked' })
  await store.close()
})

test('opening never creates a database', async () => {
  const folder = `${testFolder()}/database`
  await expect(LevelStore.open(folder)).rejects.toMatchObject({ code: 'not_initialised' })
  await expect(LevelStore.open(folder)).rejects.toMatchObject({ code: 'not_initialised' })
})

test('creating never overwrites a database', async () => {
  const folder = `${testFolder()}/database`
  const store = await LevelStore.open(folder, { create: true })
  await store.close()
  await expect(LevelStore.open(folder, { create: true })).rejects.toMatchObject({ code: 'io_error' })
})
