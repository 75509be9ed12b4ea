import { writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { loadConfig, optionList, serverOptions } from '../../src/config/config.ts'
import { readText, ROOT } from '../house/repository.ts'
import { testFolder } from '../support/folder.ts'
import { stele } from './fixture.ts'

function withFile(text: string): string {
  const file = `${testFolder()}/stele.yaml`
  writeFileSync(file, text)
  return file
}

describe('config check', () => {
  test('finds nothing wrong with a good file', async () => {
    const ran = await stele(['config', 'check', '--config', withFile('port: 7000\n')])
    expect([ran.code, ran.err, ran.out]).toEqual([0, '', expect.stringMatching(/no mistake found\n$/)])
    expect(JSON.parse((await stele(['config', 'check', '--json'])).out)).toEqual({ ok: true })
  })

  test('says all that is wrong, wherever it was written, and exits as for any misuse', async () => {
    const file = withFile('prt: 7\nqueue-entries: -1\n')
    const env = { STELE_COMMIT_BYTES: 'x' }
    const ran = await stele(['config', 'check', '--config', file, '--port', '70000'], { env })
    expect(ran.code).toBe(2)
    for (const part of [`${file}:1: prt`, `${file}:2: queue-entries`, 'STELE_COMMIT_BYTES', '--port']) {
      expect(ran.err).toContain(part)
    }
    expect(ran.err).not.toContain('    at ')
  })
})

describe('config show', () => {
  test('prints a file that says the same, and where each value came from', async () => {
    const file = withFile('port: 7000\n')
    const ran = await stele(['config', 'show', '--config', file, '--host', '::1'], {
      env: { STELE_LOG_LEVEL: 'warn' },
    })
    expect(ran.out).toContain(`port: 7000 # ${file}:1\n`)
    expect(ran.out).toContain('host: "::1" # --host\n')
    expect(ran.out).toContain('log-level: "warn" # STELE_LOG_LEVEL\n')
    expect(loadConfig({ file: withFile(ran.out) })).toMatchObject({
      port: 7000,
      host: '::1',
      'log-level': 'warn',
    })
  })

  test('has it for programs', async () => {
    const { out } = await stele(['config', 'show', '--json'])
    const { options } = JSON.parse(out) as { options: object[] }
    expect(options).toHaveLength(optionList.length + serverOptions.sections.length)
    expect(options).toContainEqual({
      name: 'port',
      value: 6962,
      from: { kind: 'default', written: 'default' },
    })
  })
})

describe('config schema', () => {
  test('is the one that is kept for editors', async () => {
    const { out } = await stele(['config', 'schema'])
    expect(JSON.parse(out)).toEqual(JSON.parse(readText('scripts/deploy/stele.schema.json')))
    const { properties } = JSON.parse(out) as { properties: Record<string, object> }
    expect(properties['port']).toEqual({
      type: 'integer',
      minimum: 0,
      maximum: 65_535,
      default: 6962,
      description: 'TCP port; 0 chooses a free one.',
    })
  })

  test('the sample file names every option, with its default, under the schema', async () => {
    const { out } = await stele(['config', 'schema', '--sample'])
    expect(out).toBe(readText('scripts/deploy/stele.yaml'))
    expect(out.split('\n')[0]).toBe('# yaml-language-server: $schema=./stele.schema.json')
    expect(Object.keys(parse(out) as object)).toEqual(optionList.map(({ name }) => name))
    expect(loadConfig({ file: `${ROOT}/scripts/deploy/stele.yaml` })).toEqual(loadConfig({}))
  })
})

test('a witness reads a file too', async () => {
  const file = withFile('prt: 7\n')
  const ran = await stele(['witness', 'serve', '--config', file])
  expect([ran.code, ran.err]).toEqual([2, expect.stringContaining(`${file}:1: prt`)])
})
