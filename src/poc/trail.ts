import { mkdir } from 'node:fs/promises'
import { generateApiKey } from '../access/api-key.ts'
import type { Role } from '../access/role.ts'
import { openLogClient } from '../client/index.ts'
import { SteleError } from '../errors.ts'
import { initAccess, META_LOG } from '../instance/access-files.ts'
import { createLog, initDataFolder, readLogInfo } from '../instance/data-folder.ts'
import { linesOf } from '../cli/meta/lines.ts'
import type { Attack, Notice } from './attack.ts'
import { LOG } from './history.ts'
import type { Stage } from './stage.ts'

/** A server with access control, and two of its keys. */
export interface Guarded {
  readonly url: string
  readonly metaKey: string
  readonly writer: string
  readonly auditor: string
}

/** Number of requests with made-up ids: more than one table shared by all callers could count separately. */
const NOISE = 1300
const AT_ONCE = 26
const REFUSED = 3

/** Attacks on the audit trail. */
export const trailAttacks: readonly Attack[] = [
  {
    name: 'blind-trail',
    title: 'bury the refused requests of a stolen key under those of made-up ones',
    stage: { witnessed: false },
    lookouts: [{ by: 'auditor', fact: 'forbidden', look: readTrail }],
    act: async (stage) => {
      const { url, writer } = await guardedBy(stage)
      for (let sent = 0; sent < NOISE; sent += AT_ONCE) {
        await Promise.all(
          Array.from({ length: AT_ONCE }, () => knock(url, `${generateApiKey('writer').text} x`)),
        )
      }
      for (let i = 0; i < REFUSED; i++) await knock(url, writer)
    },
  },
]

/** Reads the meta log with an auditor's key, each page verified, and looks for a key that was refused access. */
async function readTrail(stage: Stage): Promise<Notice | undefined> {
  const { url, metaKey, auditor, writer } = await guardedBy(stage)
  const log = openLogClient({
    url: `${url}/logs/${META_LOG}`,
    verifierKey: metaKey,
    deadlineMs: stage.patienceMs,
    headers: { authorization: `Bearer ${auditor}` },
  })
  const { size } = await log.checkpoint()
  const who = writer.split('_')[2]!
  for await (const line of linesOf(log.entries(0, size), { kind: 'denied', who })) {
    const { role, code, route } = line as unknown as Readonly<Record<string, string>>
    if (role !== undefined) return { code: code!, message: `the key ${who}, a ${role}, was refused ${route}` }
  }
  return undefined
}

/** Requests the list of keys, which a writer may not read. */
async function knock(url: string, credentials: string): Promise<void> {
  const answer = await fetch(`${url}/v1/keys`, { headers: { authorization: `Bearer ${credentials}` } })
  await answer.arrayBuffer()
}

/** The server, started at the first call. */
function guardedBy(stage: Stage): Promise<Guarded> {
  return (stage.guarded ??= makeGuarded(stage))
}

async function makeGuarded(stage: Stage): Promise<Guarded> {
  const data = stage.path('guarded')
  await mkdir(data)
  await initDataFolder(data)
  await createLog(data, { name: LOG, origin: 'log.example/guarded', allowDuplicates: false })
  const { key: provisioning } = await initAccess(data, 'log.example/guarded-meta')
  const { verifierKey: metaKey } = await readLogInfo(data, META_LOG)
  const url = await stage.serveAlso(data)
  const [writer, auditor] = [
    await makeKey(url, provisioning, 'writer'),
    await makeKey(url, provisioning, 'auditor'),
  ]
  return { url, metaKey, writer, auditor }
}

async function makeKey(url: string, provisioning: string, role: Role): Promise<string> {
  const answer = await fetch(`${url}/v1/keys`, {
    method: 'POST',
    headers: { authorization: `Bearer ${provisioning}` },
    body: JSON.stringify({ role, logs: '*' }),
  })
  if (answer.ok) return ((await answer.json()) as { key: string }).key
  throw new SteleError('unexpected_answer', `expected a key of the role ${role}, got status ${answer.status}`)
}
