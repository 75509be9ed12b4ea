import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { EXIT_CONTROL_FAILED, EXIT_UNNOTICED } from '../../src/cli/exit-codes.ts'
import { promises, type Attack } from '../../src/poc/attack.ts'
import { ATTACKS } from '../../src/poc/attacks.ts'
import { runSuite, exitCodeOf } from '../../src/poc/suite.ts'
import type { StageOptions } from '../../src/poc/stage.ts'
import { policyReader } from '../../src/poc/lookouts.ts'
import { headings } from '../house/markdown.ts'
import { readText, ROOT } from '../house/repository.ts'
import { testFolder } from '../support/folder.ts'
import { stele } from '../cli/fixture.ts'

/** A line of `stele poc --json --keep`. */
interface Line {
  readonly attack: string
  readonly outcome: string
  readonly reason?: string
  readonly sightings: readonly { by: string; expected: string | null; fact: string | null; message: string }[]
  readonly evidence: readonly string[]
  readonly keys: readonly string[]
}

// A disk that others keep busy makes every stage slow; nothing here is decided by time.
vi.setConfig({ testTimeout: 120_000 })

const attackOf = (name: string): Attack => ATTACKS.find((attack) => attack.name === name)!

describe('the whole suite, in a process of its own', () => {
  let folder: string
  let code: number | null
  let lines: Line[]
  let end: Record<string, unknown>

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'stele-test-poc-'))
    const args = [join(ROOT, 'dist/cli/bin.cjs'), 'poc', '--json', '--keep']
    const out = await new Promise<string>((resolve) => {
      const child = execFile(
        process.execPath,
        args,
        { env: { ...process.env, TMPDIR: folder } },
        (_, stdout) => {
          code = child.exitCode
          resolve(stdout)
        },
      )
    })
    const parsed = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Line)
    end = parsed.at(-1) as unknown as Record<string, unknown>
    lines = parsed.slice(0, -1)
  }, 300_000)
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  test('goes as the threat model says', () => {
    const unseen = ATTACKS.filter((attack) => promises(attack).length === 0).length
    expect(end).toMatchObject({
      caught: ATTACKS.length - unseen,
      notCaught: unseen,
      notAsDocumented: 0,
      notShown: 0,
    })
    expect(lines.map(({ attack }) => attack)).toEqual(ATTACKS.map(({ name }) => name))
    expect(code).toBe(0)
  })

  test.each(ATTACKS)('$name is noticed by exactly those who are said to notice it', ({ name, lookouts }) => {
    const { sightings, reason } = lines.find(({ attack }) => attack === name)!
    expect(reason).toBeUndefined()
    expect(sightings.map(({ by, fact }) => [by, fact])).toEqual(
      lookouts.map(({ by, fact }) => [by, fact ?? null]),
    )
    for (const { fact, message } of sightings) if (fact !== null) expect(message).toMatch(/\w+ \w+/)
  })

  test('leaves evidence of each fork that the command line proves offline, with the public keys alone', async () => {
    const forks = lines.filter(({ sightings }) => sightings.some(({ fact }) => fact === 'proven'))
    expect(forks.map(({ attack }) => attack)).toEqual(['stolen-key', 'fork-reader', 'drop-source'])
    for (const { evidence, keys } of forks) {
      const codes = evidence.map(
        async (file) => (await stele(['verify', '--evidence', file, '--key', keys.join(' ')])).code,
      )
      expect(await Promise.all(codes)).toContain(0)
      const stranger = await stele(['verify', '--evidence', evidence[0]!, '--key', lines[0]!.keys[0]!])
      expect(stranger.code).toBe(12)
    }
  })
})

describe('the suite can fail', () => {
  const run = (attack: Attack, stage: StageOptions = {}) => runSuite([attack], { keep: false, stage })

  test.each(['fork-reader', 'stolen-key', 'drop-source', 'replay-head', 'restore-backup'])(
    '%s goes unnoticed by a monitor that compares nothing',
    async (name) => {
      const report = await run(attackOf(name), { monitorForgets: true })
      const [trial] = report.trials
      expect(trial).toMatchObject({ outcome: 'unnoticed' })
      expect(trial!.sightings.find(({ by }) => by === 'monitor')!.notice?.code ?? 'nothing').not.toMatch(
        /fork|rollback/,
      )
      expect(exitCodeOf(report)).toBe(EXIT_UNNOTICED)
    },
  )

  test('a fork goes unnoticed by a verifier whose policy asks for no witness', async () => {
    const report = await run(attackOf('fork-reader'), { witnessed: false })
    const sighting = report.trials[0]!.sightings.find(({ by }) => by === 'verifier')
    expect(sighting).toMatchObject({ expected: 'quorum_not_met', notice: undefined })
    expect(exitCodeOf(report)).toBe(EXIT_UNNOTICED)
  })

  test.each(['edit-newest', 'other-key', 'suppress'])(
    '%s that does nothing is not taken for one that was caught',
    async (name) => {
      const attack = { ...attackOf(name), act: async () => {} }
      const report = await run(attack)
      expect(report.trials[0]!.outcome).toBe(promises(attack).length > 0 ? 'unnoticed' : 'not_caught')
    },
  )

  test('noticing the wrong thing is not noticing', async () => {
    const attack = attackOf('silence')
    const lookouts = attack.lookouts.map((lookout) => ({ ...lookout, fact: 'fork' }))
    const report = await run({ ...attack, lookouts })
    expect(report.trials[0]).toMatchObject({ outcome: 'unnoticed' })
  })

  test('who is said not to notice, and does, makes the threat model wrong', async () => {
    const report = await run({ ...attackOf('fork-reader'), lookouts: [policyReader(undefined)] })
    expect(report.trials[0]).toMatchObject({ outcome: 'undocumented' })
    expect(exitCodeOf(report)).toBe(EXIT_UNNOTICED)
  })

  test('what is wrong before the attack is not what the attack did', async () => {
    const attack = attackOf('other-key')
    const alarmist = {
      ...attack.lookouts[0]!,
      look: async () => ({ code: 'bad_signature', message: 'always' }),
    }
    const report = await run({ ...attack, lookouts: [alarmist] })
    expect(report.trials[0]).toMatchObject({
      outcome: 'control_failed',
      reason: 'monitor: bad_signature: always',
    })
    expect(exitCodeOf(report)).toBe(EXIT_CONTROL_FAILED)
  })
})

describe('stele poc', () => {
  /** Runs it with a folder of its own for temporary files. */
  async function poc(args: readonly string[], world: Parameters<typeof stele>[1] = {}) {
    const folder = testFolder()
    vi.stubEnv('TMPDIR', folder)
    try {
      return { ...(await stele(['poc', ...args], world)), left: readdirSync(folder) }
    } finally {
      vi.unstubAllEnvs()
    }
  }

  test('prints a line for the attack and a table, plain where nobody reads it on a terminal, and cleans up', async () => {
    const { code, out, left } = await poc(['--only', 'other-key'])
    expect(code).toBe(0)
    expect(out).toMatch(/^caught +other-key +sign the head under the log's name with another key$/m)
    expect(out).toMatch(/^attack +who noticed +how fast +by which fact$/m)
    expect(out).toMatch(/^other-key +monitor +\d+ ms +bad_signature: /m)
    expect(out).not.toContain('\u001B')
    expect(left).toEqual([])
  })

  test('has colours on a terminal, unless NO_COLOR asks for none', async () => {
    expect((await poc(['--only', 'suppress'], { terminal: true })).out).toContain('\u001B[33m')
    const plain = await poc(['--only', 'suppress'], { terminal: true, env: { NO_COLOR: '1' } })
    expect(plain.out).not.toContain('\u001B')
    expect(plain.out).toMatch(/^suppress +nobody +- +as documented/m)
  })

  test('with --keep leaves the folders, and says where', async () => {
    const { err, left } = await poc(['--only', 'other-key', '--keep'])
    expect(left).toHaveLength(1)
    expect(err).toContain(left[0])
  })

  test('stopped by a signal it ends after the attack that is under way, and cleans up', async () => {
    const stops: (() => void)[] = []
    const { code, out, left } = await poc(['--only', 'other-key', 'suppress'], {
      onStop: (stop) => void stops.push(stop),
      onOut: () => stops.pop()?.(),
    })
    expect(code).toBe(130)
    expect(out).toContain('1 attack in')
    expect(left).toEqual([])
  })

  test('lists the attacks without doing anything, and refuses one that it does not know', async () => {
    const { out, left } = await poc(['--list', '--json'])
    expect(left).toEqual([])
    const names = out
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { attack: string }).attack)
    expect(names).toEqual(ATTACKS.map(({ name }) => name))
    const unknown = await poc(['--only', 'nonsense'])
    expect(unknown).toMatchObject({ code: 2, out: '' })
    expect(unknown.err).toContain('expected one of edit-entry')
  })
})

describe('the pages', () => {
  const nobody = (names: readonly string[]): readonly string[] => (names.length > 0 ? names : ['nobody'])

  test('threat-model.md has a row for each attack, with who notices by which fact, and who does not', () => {
    const table = readText('proto-docs/threat-model.md').split('<!-- attacks -->')[1]!
    const rows = table
      .split('\n')
      .filter((line) => line.startsWith('| ['))
      .map((line) =>
        line
          .split('|')
          .map((cell) => cell.trim())
          .slice(1, 5),
      )
    const expected = ATTACKS.map((attack) => {
      const { name, title, lookouts } = attack
      const facts = promises(attack).map(({ by, fact }) => `${by} \`${fact}\``)
      const not = lookouts.filter(({ fact }) => fact === undefined).map(({ by }) => by)
      return [`[\`${name}\`](poc.md#${name})`, title, nobody(facts).join(', '), not.join(', ')]
    })
    expect(rows).toEqual(expected)
  })

  test('poc.md says of each attack what is done and why it is noticed, in the order of the suite', () => {
    const names = headings(readText('proto-docs/poc.md')).flatMap(
      (text) => /^`([a-z-]+)`$/.exec(text)?.[1] ?? [],
    )
    expect(names).toEqual(ATTACKS.map(({ name }) => name))
  })

  test('the five attacks in README.md are of the suite, with who noticed by which fact', () => {
    const [, block = ''] = /<!-- attacks -->\n```console\n([^]*?)```/.exec(readText('README.md')) ?? []
    const lines = block.split('\n')
    const head = lines.findIndex((line) => line.startsWith('attack '))
    const [whoAt, factAt] = ['who noticed', 'by which fact'].map((text) => lines[head]!.indexOf(text))
    const rows = lines.slice(head + 1, lines.indexOf('', head))
    const found: [string, string[]][] = []
    for (const row of rows) {
      const name = row.slice(0, whoAt).trim()
      const by = row.slice(whoAt).split(/ {2,}/)[0]!
      const fact = /^[a-z_]+(?=:)/.exec(row.slice(factAt))?.[0]
      if (name !== '') found.push([name, []])
      found.at(-1)![1].push(`${by} ${fact}`)
    }
    const shown = ATTACKS.filter(({ name }) => found.some(([row]) => row === name))
    expect(shown).toHaveLength(5)
    expect(block).toContain(`${shown.length} attacks in`)
    expect(readText('README.md')).toContain(`carries out ${ATTACKS.length} attacks`)
    expect(found).toEqual(
      shown.map((attack) => [attack.name, promises(attack).map(({ by, fact }) => `${by} ${fact}`)]),
    )
  })
})
