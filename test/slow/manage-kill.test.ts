import { watch, writeFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { changedParts, readConfiguration } from '../../src/instance/configuration.ts'
import { logFiles } from '../../src/instance/data-folder.ts'
import { Instance } from '../access/instance.ts'
import { Random, seedOfRun } from '../process/random.ts'
import { SteleProcess } from '../support/process.ts'

const ROUNDS = 32

/**
 * Runs a command, and kills it so many milliseconds after the meta log has signed a head, which is when the line is on
 * disk; with undefined it is left alone.
 */
async function killed(folder: string, args: readonly string[], afterMs: number | undefined): Promise<void> {
  const command = new SteleProcess(args)
  const head = watch(logFiles(folder, 'meta').head)
  const signed = new Promise((resolve) => head.once('change', resolve))
  if (afterMs !== undefined) {
    await Promise.race([command.exited, signed])
    await Promise.race([command.exited, wait(afterMs)])
    await command.kill()
  }
  await command.exited
  head.close()
}

test('whatever a killed command has changed was recorded before, and what it has not, the next start names', async () => {
  const random = new Random(seedOfRun('manage'))
  const at = await Instance.make()
  const { folder } = at
  const policy = `${folder}.policy`
  const commands = (round: number): (readonly [string, readonly string[]])[] => [
    [`log l${round}`, ['create', `l${round}`, '--origin', `log.example/l${round}`]],
    ['log main', ['set-access', 'main', '--reads', round % 8 < 4 ? 'private' : 'public']],
    ['policy of main', ['set-policy', 'main', policy]],
    ['log hidden', round % 8 < 4 ? ['add-key', 'hidden'] : ['rotate-key', 'hidden']],
  ]
  const counts = { nothing: 0, recorded: 0, cut: 0, done: 0 }
  for (let round = 0; round < ROUNDS; round++) {
    writeFileSync(policy, `# ${round}\nquorum none\n`)
    const [part, args] = commands(round)[round % 4]!
    const before = await readConfiguration(folder, undefined)
    const linesBefore = (await at.lines('admin')).length
    const afterMs = round < 4 ? undefined : Math.floor(random.next() * 12)
    await killed(folder, ['log', ...args, '--data', folder], afterMs)
    const after = await readConfiguration(folder, undefined)
    const lines = (await at.lines('admin')).slice(linesBefore)
    const changed = changedParts(before, after)
    // Either nothing, or the one part that was announced.
    expect([[], [part]]).toContainEqual(changed)
    if (changed.length > 0) expect(lines).toHaveLength(1)
    const cut = lines.length > 0 && changed.length === 0
    expect(await at.changedAtStart()).toEqual(cut ? [part] : [])
    counts.nothing += Number(lines.length === 0)
    counts.recorded += lines.length
    counts.cut += Number(cut)
    counts.done += changed.length
  }
  console.info('acts:', JSON.stringify({ rounds: ROUNDS, ...counts }))
})
