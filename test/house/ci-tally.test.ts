import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { testFolder } from '../support/folder.ts'
import { ROOT } from './repository.ts'

function tally(states: string[], status: number): { stdout: string; stderr: string; status: number | null } {
  const report = join(testFolder(), 'report.json')
  const assertionResults = states.map((state, i) => ({ status: state, fullName: `test ${i}` }))
  writeFileSync(report, JSON.stringify({ testResults: [{ assertionResults }, { assertionResults: [] }] }))
  return run(report, status)
}

function run(report: string, status: number): { stdout: string; stderr: string; status: number | null } {
  return spawnSync(process.execPath, [join(ROOT, '.ci/tally.mjs'), report, String(status)], {
    encoding: 'utf8',
  })
}

test('tests are counted by what became of them, and skipped ones are named', () => {
  const { stdout, stderr } = tally(['passed', 'passed', 'failed', 'skipped', 'todo'], 1)
  expect(stdout).toBe('2 1 2\n')
  expect(stderr).toContain('skipped: test 3')
  expect(stderr).toContain('skipped: test 4')
})

test('a run that ended badly without a failed test counts as one failure', () => {
  expect(tally(['passed'], 1).stdout).toBe('1 1 0\n')
  expect(tally(['passed'], 0).stdout).toBe('1 0 0\n')
})

test('a run without a report counts as one failure', () => {
  expect(run(join(testFolder(), 'none.json'), 0).stdout).toBe('0 1 0\n')
})
