import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type EndingState, readEnd, readEndingState } from '../../src/cli/backup/description.ts'
import { restoredEnding, type EndingOptions } from '../../src/cli/restore/head.ts'
import type { FinalRecord } from '../../src/log/head.ts'
import { testFolder } from '../support/folder.ts'
import { serveFolder } from './static-server.ts'

const NEXT = 'https://log.example/next'
const OPEN: EndingState = { frozen: false }
const ENDED: EndingState = { frozen: true }
const ENDED_FOR: EndingState = { frozen: true, successor: NEXT }

const decided = (own: EndingState | undefined, others: EndingState[], options: EndingOptions = {}) =>
  restoredEnding(
    { name: 'backup', ending: own },
    others.map((ending) => ({ source: 'head file', ending })),
    options,
  )

describe('whether a restored log has ended', () => {
  test.each<[string, EndingState | undefined, EndingState[], EndingOptions, FinalRecord | undefined]>([
    ['the backup says no', OPEN, [], {}, undefined],
    ['the backup says yes', ENDED, [], {}, {}],
    ['the backup names a successor', ENDED_FOR, [], {}, { successor: NEXT }],
    ['the backup says no, and somebody yes', OPEN, [ENDED], {}, {}],
    ['the backup says nothing, and somebody yes', undefined, [ENDED_FOR], {}, { successor: NEXT }],
    ['one of them knows the successor', ENDED, [ENDED_FOR], {}, { successor: NEXT }],
    ['the operator knows the successor', ENDED, [], { frozen: NEXT }, { successor: NEXT }],
    ['the operator says yes', undefined, [], { frozen: true }, {}],
    ['the operator says yes, and the backup no', OPEN, [], { frozen: NEXT }, { successor: NEXT }],
    ['the operator says no', undefined, [], { notFrozen: true }, undefined],
  ])('%s', (_, own, others, options, mark) => {
    expect(decided(own, others, options)).toEqual(mark)
  })

  test.each<[string, EndingState | undefined, EndingState[], EndingOptions]>([
    ['nobody says so', undefined, [], {}],
    ['only somebody else says that it has not', undefined, [OPEN], {}],
    ['the operator contradicts the backup', ENDED, [], { notFrozen: true }],
    ['the operator contradicts a head file', OPEN, [ENDED_FOR], { notFrozen: true }],
    ['the operator says both', undefined, [], { frozen: true, notFrozen: true }],
    ['the successor is no URL', ENDED, [], { frozen: 'next' }],
  ])('is not guessed where %s', (_, own, others, options) => {
    expect(() => decided(own, others, options)).toThrow(expect.objectContaining({ code: 'usage' }))
  })
})

describe('what a server says of it', () => {
  /** A server of static files that has this answer at v1/logs. */
  async function server(answer: string): Promise<string> {
    const folder = testFolder()
    mkdirSync(join(folder, 'v1'))
    writeFileSync(join(folder, 'v1/logs'), answer)
    return serveFolder(folder)
  }
  const asked = async (answer: unknown, origin = 'log.example/main') => {
    const url = await server(typeof answer === 'string' ? answer : JSON.stringify(answer))
    return readEndingState(`${url}/logs/main`, origin, {})
  }
  const list = (more: object) => ({
    logs: [
      { path: '/logs/other/', origin: 'log.example/other', state: 'frozen', successor: NEXT },
      { path: '/logs/main/', origin: 'log.example/main', ...more },
    ],
  })

  test.each<[string, object, EndingState | undefined]>([
    ['serving', {}, OPEN],
    ['frozen', {}, ENDED],
    ['frozen', { successor: NEXT }, ENDED_FOR],
    ['confirming', { successor: NEXT }, ENDED_FOR],
    ['confirming', {}, undefined],
    ['halted', {}, undefined],
    ['closing', {}, undefined],
    ['failed', {}, undefined],
  ])('%s %j', async (state, more, expected) => {
    expect(await asked(list({ state, ...more }))).toEqual(expected)
  })

  test('is taken from a copy only where it says that the log has ended', async () => {
    const origin = 'log.example/main'
    for (const [state, expected] of [
      ['serving', undefined],
      ['frozen', ENDED],
    ] as const) {
      const url = await server(JSON.stringify(list({ state })))
      expect(await readEnd(`${url}/logs/main`, origin, {})).toEqual(expected)
    }
  })

  test('of another log, or in words that nobody understands, is nothing', async () => {
    expect(await asked(list({ state: 'serving' }), 'log.example/third')).toBeUndefined()
    expect(await asked('{"logs":[{}]}')).toBeUndefined()
    expect(await asked('hello')).toBeUndefined()
    const url = await server('{}')
    expect(await readEndingState(`${url}/mirror`, 'log.example/main', {})).toBeUndefined()
  })

  test('is not known where nobody answers', async () => {
    const asking = readEndingState('http://127.0.0.1:1/logs/main', 'log.example/main', {})
    await expect(asking).rejects.toMatchObject({ code: 'unreachable' })
  })
})
