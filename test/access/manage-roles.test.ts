import { expect, test } from 'vitest'
import { PERMISSIONS, ROLES, type Permission, type Role } from '../../src/access/role.ts'
import { Instance } from './instance.ts'

/** Every route about one log that changes it or says more than `v1/logs` does. */
const ROUTES: readonly [method: string, rest: string, permission: Permission, body?: unknown][] = [
  ['POST', '/freeze', 'manage_logs', { successor: 'nowhere' }],
  ['POST', '/keys', 'manage_logs', { rotate: true, keyId: 'ffffffff' }],
  ['POST', '/keys/ffffffff/retire', 'manage_logs', {}],
  ['POST', '/policy', 'manage_logs', { policy: 'nonsense' }],
  ['POST', '/access', 'manage_logs', { reads: 'nobody' }],
  ['GET', '/policy', 'see_access'],
  ['GET', '/scrub', 'operate'],
  ['POST', '/scrub', 'operate'],
]

test('only roles that may get past the gate of a management route', async () => {
  const at = await Instance.started()
  const keys = new Map<Role, string>([['provisioning', at.provisioning]])
  for (const role of ROLES.filter((one) => one !== 'provisioning')) keys.set(role, await at.key(role))
  for (const [method, rest, permission, body] of ROUTES) {
    expect((await at.ask(method, `/v1/logs/main${rest}`, undefined, body)).status).toBe(401)
    for (const role of ROLES) {
      const { status } = await at.ask(method, `/v1/logs/main${rest}`, keys.get(role), body)
      const may = PERMISSIONS[role].includes(permission)
      expect([method, rest, role, status === 403]).toEqual([method, rest, role, !may])
    }
  }
  for (const role of ROLES.filter((one) => one !== 'provisioning')) {
    const made = await at.ask('POST', '/v1/logs', keys.get(role), { name: 'x', origin: 'log.example/x' })
    expect([role, made.status]).toEqual([role, 403])
  }
  expect((await at.ask('POST', '/v1/logs', undefined, {})).status).toBe(401)
})

test('to whoever may not know of a log, its management routes answer as for a name that nobody uses', async () => {
  const at = await Instance.started()
  const callers = [undefined]
  const keys: (string | undefined)[] = callers
  for (const role of ['writer', 'reader', 'auditor', 'admin', 'operator'] as const) {
    keys.push(await at.key(role, ['main']))
  }
  const targets = ['', '?x=1', ...ROUTES.map(([, rest]) => rest), '/policy?x=1', '/freeze?x=1']
  for (const target of targets) {
    for (const method of ['GET', 'POST']) {
      for (const body of method === 'POST' ? ['{}', 'not json', '{"x":1}'] : [undefined]) {
        for (const key of keys) {
          const ask = async (name: string): Promise<unknown> => {
            const { status, body: told } = await at.ask(method, `/v1/logs/${name}${target}`, key, body)
            return [status, JSON.stringify(told).replaceAll(name, '<name>')]
          }
          expect(await ask('hidden')).toEqual(await ask('absent'))
        }
      }
    }
  }
})

test('an operator sees what was verified, and can begin a pass', async () => {
  const at = await Instance.started()
  const operator = await at.key('operator')
  const scrub = async (method: string) => at.ask(method, '/v1/logs/main/scrub', operator)
  expect(await scrub('GET')).toMatchObject({ status: 200, body: { findingCount: 0, findings: [] } })
  const passes = async (): Promise<number> =>
    ((await scrub('GET')).body['lastPass'] as { pass: number } | undefined)?.pass ?? 0
  await expect.poll(passes).toBe(1)
  expect((await scrub('POST')).status).toBe(202)
  await expect.poll(passes).toBe(2)
})
