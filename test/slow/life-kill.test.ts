import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { setTimeout as wait } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { followRotations } from '../../src/note/rotation.ts'
import { openCheckpoint } from '../../src/note/checkpoint.ts'
import { parseVerifierKey } from '../../src/note/key.ts'
import { lineageOf } from '../../src/cli/lineage/lineage.ts'
import { createLog, initDataFolder, listLogs, readLogInfo } from '../../src/server/data-folder.ts'
import { idOf, retireKey } from '../../src/server/change-keys.ts'
import { activeKeys } from '../../src/server/key-times.ts'
import { openStoredLog } from '../../src/server/open-log.ts'
import { Random, seedOfRun } from '../process/random.ts'
import { SETTINGS } from '../server/fixture.ts'
import { testFolder } from '../support/folder.ts'

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

/** Runs a command and kills it after so many milliseconds, unless it ended before. @returns whether it ended by itself */
async function killed(args: readonly string[], afterMs: number): Promise<boolean> {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: 'ignore' })
  const ended = new Promise<boolean>((resolve) => child.once('close', (code) => resolve(code === 0)))
  const done = await Promise.race([ended, wait(afterMs, undefined)])
  if (done === undefined) child.kill('SIGKILL')
  return ended
}

async function makeLog(): Promise<string> {
  const folder = `${testFolder()}/data`
  await initDataFolder(folder)
  await createLog(folder, { name: 'main', origin: 'log.example/main', allowDuplicates: false })
  return folder
}

async function append(folder: string, name: string, text: string): Promise<string> {
  const log = await openStoredLog(folder, name, SETTINGS)
  await log.append([Buffer.from(text)])
  await log.close()
  return log.integrated.checkpoint
}

test('a rotation that is killed leaves old keys or new ones, and every head stays good', async () => {
  const random = new Random(seedOfRun('rotation'))
  const folder = await makeLog()
  const pinned = [parseVerifierKey((await readLogInfo(folder, 'main')).verifierKey)]
  const heads: string[] = []
  let completed = 0
  for (let round = 0; round < 40; round++) {
    const before = activeKeys((await readLogInfo(folder, 'main')).keys)
    const args = ['log', 'rotate-key', 'main', '--overlap-days', '0', '--data', folder]
    await killed(args, 150 + random.between(0, 250))
    const after = activeKeys((await readLogInfo(folder, 'main')).keys)
    expect([before.length, before.length + 1]).toContain(after.length)
    completed += after.length - before.length
    heads.push(await append(folder, 'main', `entry ${round}`))
    if (after.length > 2) {
      const oldest = idOf(after[0]!.verifierKey)
      await retireKey(folder, 'main', oldest, { beforeOverlapEnds: true })
    }
  }
  const { origin, rotations } = await readLogInfo(folder, 'main')
  const verifiers = followRotations({ origin, verifiers: pinned }, rotations.join(''))
  for (const head of heads) openCheckpoint(head, { origin, verifiers })
  console.info('rotations:', JSON.stringify({ rounds: 40, completed }))
})

test('a freeze that is killed leaves a log that takes entries or a frozen one', async () => {
  const random = new Random(seedOfRun('freeze'))
  let frozen = 0
  for (let round = 0; round < 30; round++) {
    const folder = await makeLog()
    await append(folder, 'main', 'a')
    await killed(['log', 'freeze', 'main', '--data', folder], 200 + random.between(0, 300))
    const log = await openStoredLog(folder, 'main', SETTINGS)
    const isFrozen = log.status.state === 'frozen'
    const appended = log.append([Buffer.from('b')])
    if (isFrozen) await expect(appended).rejects.toMatchObject({ code: 'frozen' })
    else expect((await appended).treeSize).toBe(2)
    await log.close()
    frozen += Number(isFrozen)
  }
  console.info('freezes:', JSON.stringify({ rounds: 30, frozen }))
})

test('a rollover that is killed again and again ends in two logs that name each other', async () => {
  const random = new Random(seedOfRun('rollover'))
  let kills = 0
  for (let round = 0; round < 10; round++) {
    const folder = await makeLog()
    await append(folder, 'main', 'a')
    const args = ['log', 'rollover', 'main', 'next', '--origin', 'log.example/next']
    const all = [...args, '--successor', 'https://log.example/logs/next', '--data', folder]
    for (let ms = 200; !(await listLogs(folder)).includes('next'); ms += 40) {
      await killed(all, ms + random.between(0, 80))
      kills++
    }
    expect(await lineageOf(folder, 'next')).toMatchObject({ predecessor: { name: 'main' } })
    expect(await lineageOf(folder, 'main')).toMatchObject({ successor: { name: 'next' } })
  }
  console.info('rollovers:', JSON.stringify({ rounds: 10, attempts: kills }))
})
