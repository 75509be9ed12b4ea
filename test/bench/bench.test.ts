import { spawnSync } from 'node:child_process'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ROOT } from '../house/repository.ts'
import { testFolder } from '../support/folder.ts'

interface BenchRow {
  readonly name: string
  readonly ours: number
  readonly ratio?: number
}

function bench(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [join(ROOT, 'scripts/bench/run.mjs'), ...args], { encoding: 'utf8' })
}

/** A kept result with one figure, as `--save` writes it. */
function keptResult(folder: string, file: string, ours: number): string {
  const path = join(folder, file)
  const machine = {
    cpu: 'A CPU',
    cores: 2,
    memoryGib: 8,
    fileSystem: 'ext4',
    node: 'v20',
    stele: '0.1.0',
    commit: 'abc',
  }
  const rows = [
    {
      name: 'tiles.rate',
      unit: '/s',
      ours,
      baseline: 20_000,
      ratio: ours / 20_000,
      goals: [{ of: 'ratio', atLeast: 0.7 }],
    },
  ]
  writeFileSync(path, JSON.stringify({ date: '2026-01-02T03:04:05.678Z', kind: 'normal', machine, rows }))
  return path
}

test.each([
  [
    'a smoke run measures against its baselines',
    'batches,tiles',
    ['batches.append', 'batches.append.audit', 'batches.http', 'tiles.rate'],
  ],
  [
    'witness, audit and verification are measured on real states, logs and proofs',
    'witness,audit,verify',
    [
      'witness.one',
      'witness.many',
      'witness.one.ml-dsa',
      'witness.many.ml-dsa',
      'audit.http',
      'audit.folder',
      'verify.node',
      'verify.portable',
    ],
  ],
])(
  '%s, and nothing is left behind',
  (_, only, names) => {
    const folder = testFolder()
    const { status, stdout } = bench('--smoke', '--json', '--only', only, '--folder', folder)
    expect(status).toBe(0)
    const { rows } = JSON.parse(stdout) as { rows: BenchRow[] }
    expect(rows.map(({ name }) => name)).toEqual(names)
    for (const { ours, ratio } of rows) {
      expect(ours).toBeGreaterThan(0)
      expect(ratio).toBeGreaterThan(0)
    }
    expect(readdirSync(folder)).toEqual([])
  },
  60_000,
)

test('two kept results are shown side by side', () => {
  const folder = testFolder()
  const [before, after] = [keptResult(folder, 'a.json', 15_000), keptResult(folder, 'b.json', 30_000)]
  const { status, stdout } = bench('--compare', before, after)
  expect(status).toBe(0)
  expect(stdout).toMatch(/tiles\.rate +15,000\/s -> 30,000\/s \(x 2\.00\) +ratio 0\.75 -> 1\.50/)
})

test('what is no measurement and no option is refused with a list of those that are', () => {
  const unknown = bench('--only', 'nothing')
  expect(unknown.status).toBe(64)
  expect(unknown.stderr).toContain('there is no nothing; there are post, batches,')
  expect(bench('--fast').status).toBe(64)
})
