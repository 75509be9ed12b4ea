import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { administer } from '../../src/audit-trail/administer.ts'
import type { Administer } from '../../src/instance/plan.ts'
import { Administration, type Works } from '../../src/instance/administration.ts'
import { readConfiguration, summaryOf } from '../../src/instance/configuration.ts'
import { createLog, logFiles } from '../../src/instance/data-folder.ts'
import { MetaLog } from '../../src/audit-trail/meta-log.ts'
import { TrailAccounts } from '../../src/audit-trail/trail-state.ts'
import { withOfflineAccess } from '../../src/server/offline.ts'
import { Instance } from '../access/instance.ts'

const WORKS: Works = {
  whileClosed: (_, task) => task(),
  changeKeys: (_, change) => change(),
  freeze: () => Promise.reject(new Error('not asked for')),
  add: () => Promise.resolve(),
}

test('where the meta log cannot be written nothing changes, and nothing is recorded as changed', async () => {
  const { folder } = await Instance.make()
  const configuration = await readConfiguration(folder, undefined)
  const meta = new MetaLog({ log: undefined }, Date.now, { configuration, accounts: new TrailAccounts() })
  const through: Administer = (act, task) => administer({ folder, meta }, act, task)
  const logs = new Administration({ folder, administer: through, works: WORKS })
  const acts = [
    () => logs.setAccess('test', 'main', { reads: 'private' }),
    () => logs.setPolicy('test', 'main', 'quorum none\n'),
    () => logs.rotateKey('test', 'main', {}),
    () => logs.createLog('test', { name: 'new', origin: 'log.example/new', allowDuplicates: false }),
  ]
  for (const act of acts) await expect(act()).rejects.toMatchObject({ code: 'untraceable' })
  expect(await readConfiguration(folder, undefined)).toEqual(configuration)
  expect(meta.configuration).toEqual(configuration)
})

test('an act that was announced and failed has a second line, with what is really there', async () => {
  const at = await Instance.make()
  const { folder } = at
  const failing = withOfflineAccess(folder, ({ meta }) =>
    administer({ folder, meta }, { act: 'log_create', by: 'test', log: 'new' }, async (announce) => {
      await announce({ before: null, after: {}, parts: { 'log new': '00'.repeat(32) } })
      throw new Error('no room')
    }),
  )
  await expect(failing).rejects.toThrow('no room')
  const [first, second] = await at.lines('admin')
  expect(first).toMatchObject({ act: 'log_create', parts: { 'log new': '00'.repeat(32) } })
  expect(second).toMatchObject({ act: 'log_create_failed', error: { code: 'internal', message: 'no room' } })
  expect(second!['parts']).toEqual({ 'log new': null })
  expect(second!['configuration']).toEqual(summaryOf(await readConfiguration(folder, undefined)))
  expect(await at.changedAtStart()).toEqual([])
})

test('a crash between the line and the act is named at the next start', async () => {
  const at = await Instance.make()
  const { folder } = at
  const log = { name: 'new', origin: 'log.example/new', allowDuplicates: false }
  await withOfflineAccess(folder, async ({ meta }) => {
    // Nothing comes after the announcement: so a crash right behind it leaves the folder.
    await new Promise<void>((announced) => {
      void administer({ folder, meta }, { act: 'log_create', by: 'test', log: 'new' }, (announce) =>
        createLog(folder, log, Date.now(), async () => {
          await announce({ before: null, after: {}, parts: { 'log new': '00'.repeat(32) } })
          announced()
          return new Promise(() => {})
        }),
      )
    })
  })
  expect(await at.changedAtStart()).toEqual(['log new'])
  await at.start()
  // What was left of it is in nobody's way.
  expect((await at.manage('/v1/logs', { name: 'new', origin: log.origin })).status).toBe(201)
  await at.stop()
  expect(await at.changedAtStart()).toEqual([])
})

test('acts on one log at once come one after another, and each builds on the one before', async () => {
  const at = await Instance.started()
  const answers = await Promise.all([
    at.manage('/v1/logs/main/keys', { rotate: true }),
    at.manage('/v1/logs/main/access', { reads: 'private' }),
    at.manage('/v1/logs/main/keys', { algorithm: 'ed25519' }),
    at.manage('/v1/logs/main/policy', { policy: 'quorum none\n' }),
    at.manage('/v1/keys', { role: 'reader', logs: '*' }),
    at.manage('/v1/logs', { name: 'new', origin: 'log.example/new' }),
    at.manage('/v1/logs', { name: 'new', origin: 'log.example/other' }),
    at.manage('/v1/logs', { name: 'other', origin: 'log.example/new' }),
  ])
  expect(answers.map(({ status }) => status)).toEqual([201, 200, 201, 200, 201, 201, 409, 409])
  expect((await at.ask('GET', '/v1/logs/main', at.provisioning)).body).toMatchObject({ reads: 'private' })
  expect((await at.ask('GET', '/logs/main/v1/keys', at.provisioning)).body['keys']).toHaveLength(3)
  await at.stop()
  expect(await at.changedAtStart()).toEqual([])
})

test('a log that is frozen under load keeps what it answered for, and nothing else', async () => {
  const at = await Instance.started()
  const writer = await at.key('writer')
  const append = (i: number) => at.ask('POST', '/logs/main/v1/entries', writer, `entry ${i}`)
  const before = Array.from({ length: 40 }, (_, i) => append(i))
  const freezing = at.manage('/v1/logs/main/freeze', {})
  const after = Array.from({ length: 40 }, (_, i) => append(40 + i))
  const frozen = await freezing
  const statuses = (await Promise.all([...before, ...after])).map(({ status }) => status)
  const kept = statuses.filter((status) => status === 200).length
  expect(new Set(statuses.filter((status) => status !== 200 && status !== 503))).toEqual(
    new Set(statuses.includes(410) ? [410] : []),
  )
  expect(frozen).toMatchObject({ status: 200, body: { treeSize: kept } })
  expect((await append(80)).status).toBe(410)
})

test('files are what they were announced to be', async () => {
  const at = await Instance.started()
  await at.manage('/v1/logs/main/policy', { policy: 'quorum none\n' })
  await at.manage('/v1/logs/main/keys', { rotate: true })
  await at.stop()
  const { configuration } = (await at.lines('admin')).at(-1) as { configuration: Record<string, string> }
  const { options, ...parts } = configuration
  expect(options).toMatch(/^[0-9a-f]{64}$/)
  expect(parts).toEqual(summaryOf(await readConfiguration(at.folder, undefined)))
  expect(readFileSync(logFiles(at.folder, 'main').policy, 'utf8')).toBe('quorum none\n')
})
