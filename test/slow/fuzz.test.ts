import { expect, test } from 'vitest'
import { fuzzRequests } from '../fuzz/requests.ts'
import { fuzzParsers, slowParsers } from '../fuzz/run.ts'

test('spoilt input is read, or refused with a documented code, a hundred thousand times each', async () => {
  expect(await fuzzParsers(100_000)).toEqual([])
})

test('the time for hostile input of a megabyte grows with its length and not much faster', async () => {
  expect(await slowParsers(128 * 1024)).toEqual([])
})

test('tens of thousands of spoilt requests are answered with documented codes, and never as a failure of the server', async () => {
  const statuses = await fuzzRequests(30_000)
  console.info('statuses:', JSON.stringify(Object.fromEntries(statuses)))
})
