import { setTimeout as wait } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { followRotations } from '../../src/note/rotation.ts'
import { openCheckpoint } from '../../src/note/checkpoint.ts'
import { parseVerifierKey } from '../../src/note/key.ts'
import { lineageOf } from '../../src/cli/lineage/lineage.ts'
import { createLog, initDataFolder, listLogs, readLogInfo } from '../../src/instance/data-folder.ts'
import { idOf, retireKey } from '../../src/instance/change-keys.ts'
import { activeKeys } from '../../src/instance/key-times.ts'
import { openStoredLog } from '../../src/instance/open-log.ts'
import { Random, seedOfRun } from '../process/random.ts'
import { SETTINGS } from '../instance/fixture.ts'
import { testFolder } from '../support/folder.ts'
import { SteleProcess } from '../support/process.ts'

/** Runs a command and kills it after so many milliseconds, unless it ended before. */
async function killed(args: readonly string[], afterMs: number): Promise<void> {
  const command = new SteleProcess(args)
  await Promise.race([command.exited, wait(afterMs)])
  await command.kill()
}

/** How long a command takes here and now: kills are spread from the middle of that on, when files are written, to some that come too late. */
async function durationMs(args: readonly string[]): Promise<number> {
  const startedMs = performance.now()
  await killed(args, 60_000)
  return performance.now() - startedMs
}

async function makeLog(): Promise<string> {
  const folder = `${testFolder()}/data`
  await initDataFolder(folder)
  await createLog(folder, {
    name: 'main',
    origin: 'log.example/main',
    allowDuplicates: false,
    reads: 'public',
  })
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
  const rotate = (data: string): string[] => [
    'log',
    'rotate-key',
    'main',
    '--overlap-days',
    '0',
    '--data',
    data,
  ]
  const fullMs = await durationMs(rotate(await makeLog()))
  let completed = 0
  for (let round = 0; round < 30; round++) {
    const before = activeKeys((await readLogInfo(folder, 'main')).keys)
    await killed(rotate(folder), fullMs * (0.5 + random.next()))
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
  console.info('rotations:', JSON.stringify({ rounds: 30, completed }))
})

test('a freeze that is killed leaves a log that takes entries or a frozen one', async () => {
  const random = new Random(seedOfRun('freeze'))
  const freeze = (data: string): string[] => ['log', 'freeze', 'main', '--data', data]
  const fullMs = await durationMs(freeze(await makeLog()))
  let frozen = 0
  for (let round = 0; round < 30; round++) {
    const folder = await makeLog()
    await append(folder, 'main', 'a')
    await killed(freeze(folder), fullMs * (0.5 + random.next()))
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
  const flags = ['--origin', 'log.example/next', '--successor', 'https://log.example/logs/next']
  const rollOver = (data: string): string[] => ['log', 'rollover', 'main', 'next', ...flags, '--data', data]
  const fullMs = await durationMs(rollOver(await makeLog()))
  let attempts = 0
  for (let round = 0; round < 10; round++) {
    const folder = await makeLog()
    await append(folder, 'main', 'a')
    for (let share = 0.5; !(await listLogs(folder)).includes('next'); share += 0.05) {
      await killed(rollOver(folder), fullMs * (share + random.next() * 0.1))
      attempts++
    }
    expect(await lineageOf(folder, 'next')).toMatchObject({ predecessor: { name: 'main' } })
    expect(await lineageOf(folder, 'main')).toMatchObject({ successor: { name: 'next' } })
  }
  console.info('rollovers:', JSON.stringify({ rounds: 10, attempts }))
})
