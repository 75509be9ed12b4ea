import { existsSync, mkdirSync, readdirSync, rmSync, watch } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { initDataFolder, listLogs } from '../../src/instance/data-folder.ts'
import { encodeBundle } from '../../src/tile/bundle.ts'
import { stele } from '../cli/fixture.ts'
import { testFolder } from '../support/folder.ts'
import { ServerProcess, SteleProcess } from '../support/process.ts'
import { makeLogFolder, prefix } from './log-folder.ts'
import { Random, seedOfRun } from './random.ts'

const ENTRIES = 20_000
const ROUNDS = 5

/** Starts a restore and kills it a while after it began to build the log, unless it ends before that. */
async function killedRestore(data: string, backup: string, afterMs: number): Promise<'killed' | 'ended'> {
  const logs = join(data, 'logs')
  const watcher = watch(logs)
  const began = new Promise<void>((resolve) => {
    watcher.on('change', (_, name) => String(name).startsWith('.restoring-') && resolve())
  })
  const restore = new SteleProcess(['restore', 'main', '--data', data, '--from', backup])
  await Promise.race([began, restore.exited])
  watcher.close()
  await Promise.race([wait(afterMs), restore.exited])
  const { code, signal } = await restore.kill()
  if (signal === null) expect(code).toBe(0)
  return signal === 'SIGKILL' ? 'killed' : 'ended'
}

test(
  'a restore that is killed at any moment leaves a whole log or none, and the next one is not in its way',
  { timeout: 120_000 },
  async () => {
    const log = await makeLogFolder()
    const server = new ServerProcess(log.folder)
    const url = prefix(await server.url)
    for (let begin = 0; begin < ENTRIES; begin += 5000) {
      const entries = Array.from({ length: 5000 }, (_, i) => Buffer.from(`entry ${begin + i}`))
      const headers = { 'content-type': 'application/vnd.c2sp.entry-bundle' }
      const answer = await fetch(`${url}v1/batches`, {
        method: 'POST',
        headers,
        body: Buffer.from(encodeBundle(entries)),
      })
      expect(answer.status).toBe(200)
    }
    expect(await server.stop()).toEqual({ code: 0, signal: null })
    const backup = join(testFolder(), 'backup')
    const saved = await stele(['backup', 'main', '--data', log.folder, '--to', backup, '--with-keys'])
    expect(saved.code).toBe(0)

    const random = new Random(seedOfRun('restore kill'))
    const data = join(testFolder(), 'data')
    mkdirSync(data)
    await initDataFolder(data)
    const tally = { killed: 0, whole: 0 }
    for (let round = 0; round < ROUNDS; round++) {
      if ((await killedRestore(data, backup, random.between(0, 800))) === 'killed') tally.killed++
      const names = await listLogs(data)
      if (names.length === 0) continue
      expect(names).toEqual(['main'])
      tally.whole++
      expect((await stele(['fsck', '--data', data])).code).toBe(0)
      rmSync(join(data, 'logs/main'), { recursive: true })
    }
    console.info('restore kill:', JSON.stringify(tally))
    expect(tally.killed).toBeGreaterThan(0)
    // What was left behind is nobody's log: it is not served, and not in the way.
    const half = readdirSync(join(data, 'logs')).filter((name) => name.startsWith('.restoring-main-'))
    const restored = await stele(['restore', 'main', '--data', data, '--from', backup])
    expect([restored.code, existsSync(join(data, 'logs/main/log.json'))]).toEqual([0, true])
    expect(half.length).toBeLessThanOrEqual(tally.killed)
    const again = new ServerProcess(data)
    const listed = await fetch(`${await again.url}/v1/logs`)
    const { logs } = (await listed.json()) as { logs: { name: string; treeSize: number }[] }
    expect(logs.map(({ name, treeSize }) => [name, treeSize])).toEqual([['main', ENTRIES]])
    expect(await again.stop()).toEqual({ code: 0, signal: null })
  },
)
