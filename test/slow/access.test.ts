import { test } from 'vitest'
import { crowding, guessing } from '../access/crowd.ts'

test('whoever guesses 10,000 keys makes few lines and is told to wait', async () => {
  await guessing(10_000)
})

test('100,000 addresses behind a trusted proxy fill neither memory nor the meta log', async () => {
  await crowding(100_000)
})
