import { expect, test } from 'vitest'
import { fuzzRequests } from './requests.ts'
import { fuzzParsers, slowParsers } from './run.ts'

test('spoilt input is read, or refused with a documented code', async () => {
  expect(await fuzzParsers(400)).toEqual([])
})

test('the time for hostile input grows with its length and not much faster', async () => {
  expect(await slowParsers(32 * 1024)).toEqual([])
})

test('spoilt requests are answered with a documented code, and never as a failure of the server', async () => {
  const statuses = await fuzzRequests(600)
  // Some of each: a fuzzer that is only ever refused at the gate finds nothing behind it.
  for (const status of [200, 400, 401, 403, 404]) expect(statuses.get(status) ?? 0).toBeGreaterThan(0)
})
