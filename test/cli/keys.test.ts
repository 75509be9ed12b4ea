import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { loadConfig } from '../../src/config/config.ts'
import { createServer } from '../../src/server/start.ts'
import { testFolder } from '../support/folder.ts'
import { stele } from './fixture.ts'

/** A data folder as "init" makes it. */
async function initialised(): Promise<{ data: string; provisioningKey: string }> {
  const data = join(testFolder(), 'data')
  const { out } = await stele(['init', '--data', data, '--provisioning-key-file', '-', '--json'])
  return { data, ...(JSON.parse(out) as { provisioningKey: string }) }
}

async function running(data: string): Promise<string> {
  const config = loadConfig({ flags: { data, port: 0, 'log-level': 'silent' } })
  const server = await createServer(config, pino({ level: 'silent' }))
  onTestFinished(() => server.close())
  return server.url
}

test('keys are made on a stopped server, and the meta log says so', async () => {
  const { data } = await initialised()
  const made = await stele(['key', 'create', '--role', 'writer', '--log', 'main', '--data', data])
  expect(made).toMatchObject({ code: 0 })
  expect(made.out).toMatch(/^st_writer_[a-z2-7]{16}_[a-z2-7]{52}_[a-z2-7]{6}\n$/)
  const id = made.out.split('_')[2]!
  const listed = await stele(['key', 'list', '--json', '--data', data])
  expect(JSON.parse(listed.out)).toMatchObject([
    { role: 'provisioning' },
    { id, role: 'writer', logs: ['main'] },
  ])
  expect((await stele(['key', 'revoke', id, '--data', data])).out).toBe(`${id} is revoked\n`)
  const told = await stele(['meta', '--kind', 'admin', '--data', data, '--json'])
  const acts = told.out
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { act: string }).act)
  expect(acts).toEqual(['key_create', 'key_revoke'])
})

test('a running server is asked with a key that may, and shows auditors who did what', async () => {
  const { data, provisioningKey } = await initialised()
  const url = await running(data)
  expect((await stele(['key', 'list', '--data', data])).code).toBe(32)
  const as = (key: string) => ({ env: { STELE_API_KEY: key } })
  const create = ['key', 'create', '--all-logs', '--server', url, '--role']
  expect((await stele([...create, 'writer'])).code).toBe(7)
  const writer = (await stele([...create, 'writer'], as(provisioningKey))).out.trim()
  const auditor = (await stele([...create, 'auditor'], as(provisioningKey))).out.trim()
  expect((await stele([...create, 'auditor'], as(writer))).code).toBe(8)
  const meta = ['meta', '--server', url, '--data', data]
  expect((await stele(meta, as(writer))).code).toBe(8)
  const { code, out } = await stele(meta, as(auditor))
  expect(code).toBe(0)
  expect(out).toMatch(/denied .*unauthenticated .*x1 .*POST \/v1\/keys/)
  expect(out).toMatch(/admin .*key_create .*auditor [a-z2-7]{16} valid/)
  for (const key of [provisioningKey, writer, auditor]) expect(out).not.toContain(key.split('_')[3])
  const rotated = await stele(['key', 'rotate', writer.split('_')[2]!, '--server', url], as(provisioningKey))
  expect(rotated.out).toMatch(/^st_writer_/)
})

test('an admin key is ended with what it made, and the provisioning key replaces itself online', async () => {
  const { data, provisioningKey } = await initialised()
  const url = await running(data)
  const as = (key: string) => ({ env: { STELE_API_KEY: key.trim() } })
  const idOf = (key: string): string => key.split('_')[2]!
  const create = ['key', 'create', '--all-logs', '--server', url, '--role']
  const admin = (await stele([...create, 'admin'], as(provisioningKey))).out
  const monitor = (await stele([...create, 'monitor'], as(admin))).out
  const revoked = await stele(
    ['key', 'revoke', idOf(admin), '--cascade', '--server', url],
    as(provisioningKey),
  )
  expect(revoked.out).toBe(`${idOf(admin)} is revoked\n${idOf(monitor)} is revoked\n`)
  const rotate = ['key', 'rotate', idOf(provisioningKey), '--overlap-hours', '0', '--server', url]
  const next = (await stele(rotate, as(provisioningKey))).out
  expect(next).toMatch(/^st_provisioning_/)
  const list = ['key', 'list', '--server', url]
  expect((await stele(list, as(provisioningKey))).code).toBe(7)
  expect((await stele(list, as(next))).code).toBe(0)
})

test('a lost provisioning key is replaced by whoever has the machine, and the old one ends', async () => {
  const { data, provisioningKey } = await initialised()
  const { out: fresh } = await stele(['access', 'recover', '--data', data])
  expect(fresh).toMatch(/^st_provisioning_/)
  const url = await running(data)
  const list = ['key', 'list', '--server', url]
  expect((await stele(list, { env: { STELE_API_KEY: provisioningKey } })).code).toBe(7)
  expect((await stele(list, { env: { STELE_API_KEY: fresh.trim() } })).code).toBe(0)
})

test('a private log is audited with a key that is named for it, and not with one of the environment', async () => {
  const { data, provisioningKey } = await initialised()
  const made = ['log', 'create', 'closed', '--private', '--heads', 'closed', '--data', data]
  expect((await stele([...made, '--origin', 'log.example/closed'])).code).toBe(0)
  const key = JSON.parse((await stele(['log', 'show', 'closed', '--json', '--data', data])).out) as {
    verifierKey: string
  }
  const url = await running(data)
  const create = ['key', 'create', '--role', 'auditor', '--log', 'closed', '--server', url]
  const auditor = (await stele(create, { env: { STELE_API_KEY: provisioningKey } })).out
  const file = join(data, '..', 'auditor.key')
  writeFileSync(file, auditor, { mode: 0o600 })
  const readable = join(data, '..', 'readable.key')
  writeFileSync(readable, auditor, { mode: 0o644 })
  for (const command of ['fsck', 'audit']) {
    const args = [command, `${url}/logs/closed`, '--key', key.verifierKey]
    expect((await stele([...args, '--api-key-file', readable])).code).toBe(34)
    expect((await stele([...args, '--api-key-file', file])).code).toBe(0)
    expect((await stele(args, { env: { STELE_API_KEY: auditor.trim() } })).code).toBe(4)
  }
})

test.each([
  [['key', 'create', '--role', 'king', '--all-logs']],
  [['key', 'create', '--role', 'provisioning', '--all-logs']],
  [['key', 'create', '--role', 'writer']],
  [['key', 'create', '--role', 'writer', '--log', 'main', '--all-logs']],
  [['key', 'create', '--role', 'writer', '--all-logs', '--address', '10.0.0.0/99']],
  [['meta', '--since', 'yesterday']],
])('%j is a mistake of the caller', async (args) => {
  const { data } = await initialised()
  const { code, out, err } = await stele([...args, '--data', data])
  expect([code, out]).toEqual([2, ''])
  expect(err).toMatch(/^stele: [^\n]*\n$/)
})
