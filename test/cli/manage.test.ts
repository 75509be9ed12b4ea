import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { logFiles } from '../../src/instance/data-folder.ts'
import { Instance } from '../access/instance.ts'
import { testFolder } from '../support/folder.ts'
import { stele, type Ran } from './fixture.ts'

interface Shown {
  readonly verifierKey: string
}

/** Runs `stele log …` and expects it to succeed. */
async function log(at: Instance, args: readonly string[], where: readonly string[]): Promise<Ran> {
  const env = { STELE_API_KEY: at.provisioning }
  const ran = await stele(['log', ...args, ...where], { env })
  expect([args, ran.code, ran.err.includes('stele: ')]).toEqual([args, 0, false])
  return ran
}

/** One act of each kind, on the log "main". */
async function everything(at: Instance, where: readonly string[]): Promise<void> {
  const file = join(testFolder(), 'policy')
  writeFileSync(file, 'quorum none\n')
  const origin = ['--origin', 'log.example/new']
  const created = await log(at, ['create', 'new', ...origin, '--private', '--heads', 'closed'], where)
  expect(created.out).toMatch(/^log\.example\/new\+/)
  await log(at, ['set-policy', 'main', file], where)
  await log(at, ['set-policy', 'main', '--none'], where)
  await log(at, ['set-access', 'main', '--reads', 'private', '--heads', 'closed'], where)
  await log(at, ['add-key', 'new', '--algorithm', 'ml-dsa-44'], where)
  const rotated = await log(at, ['rotate-key', 'main', '--overlap-days', '1', '--json'], where)
  expect((JSON.parse(rotated.out) as Shown).verifierKey).toMatch(/^log\.example\/main\+/)
  const frozen = await log(at, ['freeze', 'main', '--successor', 'https://log.example/logs/new'], where)
  expect(frozen.out).toMatch(/frozen permanently at size 0/)
}

const ACTS = [
  'log_create',
  'log_set_policy',
  'log_set_policy',
  'log_set_access',
  'log_add_key',
  'log_rotate_key',
  'log_freeze',
]

test('what commands change on a stopped server is in the meta log, and no start finds it unrecorded', async () => {
  const at = await Instance.make()
  await everything(at, ['--data', at.folder])
  const admin = await at.lines('admin')
  expect(admin.map(({ act, by }) => [act, by])).toEqual(ACTS.map((act) => [act, 'host']))
  expect(await at.changedAtStart()).toEqual([])
  await log(at, ['create', 'old', '--origin', 'log.example/old', '--private'], ['--data', at.folder])
  const publicUrl = ['--public-url', 'https://log.example']
  await log(at, ['rollover', 'old', 'next', ...publicUrl], ['--data', at.folder])
  const shown = await log(at, ['show', 'next', '--json'], ['--data', at.folder])
  expect(JSON.parse(shown.out)).toMatchObject({ reads: 'private', heads: 'open' })
  rmSync(logFiles(at.folder, 'old').head)
  await log(at, ['adopt-head', 'old', '--yes-i-have-none'], ['--data', at.folder])
  const later = (await at.lines('admin')).slice(ACTS.length)
  expect(later).toMatchObject([
    { act: 'log_create', log: 'old' },
    { act: 'log_freeze', log: 'old' },
    { act: 'log_create', log: 'next', after: { predecessor: 'log.example/old' } },
    { act: 'log_adopt_head', log: 'old', before: { headFile: 'lost' }, after: { compared: false } },
  ])
  expect(await at.changedAtStart()).toEqual([])
})

test('the same commands ask a running server, which the folder is locked by', async () => {
  const at = await Instance.started()
  await everything(at, ['--server', at.url])
  const locked = await stele(['log', 'create', 'more', '--data', at.folder])
  expect([locked.code, locked.err]).toEqual([32, expect.stringContaining('--server')])
  const denied = await stele(['log', 'freeze', 'main', '--server', at.url])
  expect(denied.code).toBe(4)
  const elsewhere = ['log', 'create', 'more', '--server', at.url, '--head-folder', '/tmp']
  expect((await stele(elsewhere)).code).toBe(2)
  await at.stop()
  const by = at.provisioning.split('_')[2]
  const admin = await at.lines('admin')
  expect(admin.map((line) => [line['act'], line['by']])).toEqual(ACTS.map((act) => [act, by]))
  expect(await at.changedAtStart()).toEqual([])
  const told = await stele(['meta', '--kind', 'admin', '--log', 'main', '--data', at.folder])
  expect(told.out).toMatch(/host|log_set_access {2}main {2}\{"reads":"public"/)
})

test('the meta log changes its keys on a stopped server, and its line comes right behind', async () => {
  const at = await Instance.make()
  const rotated = await log(at, ['rotate-key', 'meta', '--json'], ['--data', at.folder])
  const { verifierKey } = JSON.parse(rotated.out) as Shown
  expect((await at.lines('admin')).at(-1)).toMatchObject({
    act: 'log_rotate_key',
    log: 'meta',
    after: expect.arrayContaining([expect.objectContaining({ verifierKey })]) as unknown,
  })
  expect(await at.changedAtStart()).toEqual([])
  for (const args of [
    ['freeze', 'meta'],
    ['rollover', 'meta', 'meta2'],
    ['set-access', 'meta', '--reads', 'public'],
    ['set-access', 'main'],
    ['set-access', 'main', '--heads', 'closed'],
    ['set-access', 'main', '--reads', 'nobody'],
    ['set-policy', 'main'],
    ['create', 'new', '--public', '--heads', 'closed'],
    ['create', 'new', '--heads', 'ajar'],
  ]) {
    expect([args, (await stele(['log', ...args, '--data', at.folder])).code]).toEqual([args, 2])
  }
})

test('status shows what the caller may see, and says when a server is not ready', async () => {
  const at = await Instance.started()
  const nobody = await stele(['status', '--server', at.url])
  expect(nobody.code).toBe(0)
  expect(nobody.out).toMatch(/: ready.*\n[^]*main +serving +size 0 {2}head [\d.]+ s old\n/)
  expect(nobody.out).not.toContain('hidden')
  const env = { STELE_API_KEY: await at.key('operator') }
  const operator = await stele(['status', '--server', at.url], { env })
  expect(operator.out).toMatch(
    /hidden +serving {2,}size 0 {2}head [\d.]+ s old {2}queue 0 {2}verified \d+ % in pass \d/,
  )
  await at.server.logs.get('main')!.log!.close()
  const { out } = await stele(['status', '--server', at.url, '--json'], { env })
  expect(JSON.parse(out)).toMatchObject({ ready: false, logs: expect.any(Array) as unknown })
  const coloured = await stele(['status', '--server', at.url], { env, terminal: true })
  expect(coloured.out).toContain('[31mNOT READY')
})
