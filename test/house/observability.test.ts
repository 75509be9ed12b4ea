import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { get } from 'node:https'
import { pino } from 'pino'
import { describe, expect, onTestFinished, test } from 'vitest'
import { parse } from 'yaml'
import { KEY_TYPE } from '../../src/note/key-id.ts'
import { parseVerifierKey } from '../../src/note/key.ts'
import { initAccess } from '../../src/instance/access-files.ts'
import { loadConfig } from '../../src/config/config.ts'
import { createLog, initDataFolder, logFiles } from '../../src/instance/data-folder.ts'
import { startServer } from '../../src/server/start.ts'
import { witnessOptions } from '../../src/witness/cosigner-config.ts'
import { createWitness, readCosignerKeys, witnessFiles } from '../../src/witness/cosigner-folder.ts'
import { addToLogList } from '../../src/witness/log-list.ts'
import { startWitness } from '../../src/witness/start.ts'
import { verifiersOf } from '../../src/witness/keys.ts'
import { selfSigned } from '../support/certificate.ts'
import { testFolder } from '../support/folder.ts'
import { exposed, mentionsOf } from './promql.ts'
import { readText, ROOT } from './repository.ts'

const SILENT = pino({ level: 'silent' })
const RULES = 'scripts/deploy/prometheus-rules.yaml'

interface Rules {
  readonly groups: {
    readonly rules: { readonly alert: string; readonly expr: string; readonly labels: object }[]
  }[]
}
interface Dashboard {
  readonly panels: {
    readonly id: number
    readonly title: string
    readonly gridPos: { readonly x: number; readonly w: number }
    readonly targets?: { readonly expr: string; readonly legendFormat: string }[]
  }[]
  readonly templating: { readonly list: { readonly query: string }[] }
}

const rules = (parse(readText(RULES)) as Rules).groups.flatMap((group) => group.rules)
const dashboard = JSON.parse(readText('scripts/deploy/grafana-dashboard.json')) as Dashboard
const targets = dashboard.panels.flatMap(({ title, targets: all = [] }) =>
  all.map((target) => ({ title, ...target })),
)
const functions = ['rate', 'increase', 'sum', 'time', 'histogram_quantile', 'predict_linear']

/** What Prometheus itself adds to every sample. */
const ADDED = ['instance', 'job']

/** The text of a server whose log has one witness that cosigns and one that is not there. */
async function metricsOfServer(): Promise<string> {
  const [folder, witnessFolder] = [`${testFolder()}/data`, `${testFolder()}/witness`]
  await initDataFolder(folder)
  await initAccess(folder, 'log.example/meta')
  const log = await createLog(folder, {
    name: 'main',
    origin: 'log.example/main',
    allowDuplicates: false,
    reads: 'public',
  })
  const info = await createWitness(witnessFolder, 'witness.example/w', [KEY_TYPE.ed25519Cosignature])
  const own = verifiersOf(await readCosignerKeys(witnessFolder, info))
  await addToLogList(witnessFiles(witnessFolder).logs, own, {
    origin: 'log.example/main',
    keys: [parseVerifierKey(log.verifierKey)],
  })
  const witness = await startWitness(
    witnessOptions.load({ flags: { data: witnessFolder, port: '0' } }),
    SILENT,
  )
  onTestFinished(() => witness.close())
  const absent = await createWitness(`${testFolder()}/absent`, 'witness.example/x', [
    KEY_TYPE.ed25519Cosignature,
  ])
  const policy = [
    `log ${log.verifierKey}`,
    `witness here ${info.verifierKeys[0]!} ${witness.url}`,
    `witness gone ${absent.verifierKeys[0]!} http://127.0.0.1:1`,
    'group one 1 here gone',
    'quorum one',
    '',
  ]
  writeFileSync(logFiles(folder, 'main').policy, policy.join('\n'))
  const server = await startServer(loadConfig({ flags: { data: folder, port: '0', open: true } }), SILENT)
  onTestFinished(() => server.close())
  await expect.poll(() => server.host.get('main')?.log?.status.state, { timeout: 10_000 }).toBe('serving')
  const post = (body: string): Promise<Response> =>
    fetch(`${server.url}/logs/main/v1/entries?wait=published`, { method: 'POST', body })
  for (const body of ['a', 'b', 'a']) expect((await post(body)).ok).toBe(true)
  expect((await fetch(`${server.url}/logs/none/checkpoint`)).status).toBe(404)
  // The one that is not there may be slower to say so than the other is to cosign.
  const read = async (): Promise<string> => (await fetch(`${server.url}/metrics`)).text()
  await expect.poll(read, { timeout: 10_000 }).toContain('witness="gone",outcome="unreachable"')
  // The scrubber rests longer than it works.
  await expect.poll(read, { timeout: 10_000 }).toContain('stele_scrub_last_pass_timestamp_seconds{')
  return read()
}

/** The text of a server that speaks TLS. */
async function metricsOfTlsServer(): Promise<string> {
  const folder = testFolder()
  await initDataFolder(`${folder}/data`)
  await createLog(`${folder}/data`, {
    name: 'main',
    origin: 'log.example/main',
    allowDuplicates: false,
    reads: 'public',
  })
  const { cert, key } = selfSigned()
  writeFileSync(`${folder}/cert.pem`, cert)
  writeFileSync(`${folder}/key.pem`, key, { mode: 0o600 })
  const flags = { data: `${folder}/data`, port: '0', open: true }
  const tls = { 'tls-cert': `${folder}/cert.pem`, 'tls-key': `${folder}/key.pem` }
  const server = await startServer(loadConfig({ flags: { ...flags, ...tls } }), SILENT)
  onTestFinished(() => server.close())
  const req = get(`${server.url}/metrics`, { ca: cert, agent: false })
  const [res] = (await once(req, 'response')) as [IncomingMessage]
  let text = ''
  for await (const chunk of res) text += String(chunk)
  return text
}

describe('what a real server exposes', () => {
  let text = ''
  let known = exposed(text)

  test('counts what happened', { timeout: 30_000 }, async () => {
    text = `${await metricsOfServer()}${await metricsOfTlsServer()}`
    known = exposed(text)
    const value = (series: string): number =>
      Number(
        text
          .split('\n')
          .find((line) => line.startsWith(`${series} `))
          ?.split(' ')[1],
      )
    expect(value('stele_tree_size{log="main"}')).toBe(2)
    expect(value('stele_duplicate_entries_total{log="main"}')).toBe(1)
    expect(value('stele_commit_entries_sum{log="main"}')).toBe(2)
    expect(value('stele_commit_duration_seconds_count{log="main"}')).toBeGreaterThanOrEqual(2)
    expect(value('stele_syncs_total{log="main",what="database"}')).toBeGreaterThanOrEqual(2)
    expect(value('stele_syncs_total{log="main",what="head"}')).toBeGreaterThanOrEqual(2)
    expect(
      value('stele_witness_requests_total{log="main",witness="here",outcome="cosigned"}'),
    ).toBeGreaterThan(0)
    expect(value('stele_http_refusals_total{route="/logs/{log}/checkpoint",code="not_found"}')).toBe(1)
    expect(value('stele_disk_free_bytes')).toBeGreaterThan(0)
    expect(value('stele_queue_age_seconds{log="main"}')).toBe(0)
  })

  test.each([
    ...rules.map(({ alert, expr }) => [alert, expr]),
    ...targets.map(({ title, expr }) => [title, expr]),
  ])('is what "%s" asks for', (_, expr) => {
    const mentions = mentionsOf(expr)
    expect(mentions.metrics.length).toBeGreaterThan(0)
    const labels = new Set(ADDED)
    for (const { name, labels: asked } of mentions.metrics) {
      if (name !== 'up') expect([...known.keys()]).toContain(name)
      const all = [...(known.get(name) ?? []), ...ADDED]
      expect(all).toEqual(expect.arrayContaining([...asked]))
      for (const label of all) labels.add(label)
    }
    expect([...labels]).toEqual(expect.arrayContaining([...mentions.grouping]))
    expect(functions).toEqual(expect.arrayContaining([...mentions.functions]))
  })

  test('has a name for every legend and every variable of the dashboard', () => {
    for (const { expr, legendFormat } of targets) {
      const { metrics, grouping } = mentionsOf(expr)
      const labels = metrics.flatMap(({ name }) => [...(known.get(name) ?? []), ...ADDED])
      for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) {
        expect(grouping.length > 0 ? grouping : labels).toContain(label)
      }
    }
    for (const { query } of dashboard.templating.list.slice(1)) {
      const [, metric, label] = /^label_values\((\w+), (\w+)\)$/.exec(query)!
      expect([...known.get(metric!)!, ...ADDED]).toContain(label)
    }
  })

  test('keeps its labels to what the operator named: no log, route or code that a caller made up', () => {
    expect(text).not.toMatch(/log="none"|route="[^"]*\/none/)
  })
})

describe('the files', () => {
  test('alerts have one name each, a severity, and somebody told what to do', () => {
    const names = rules.map(({ alert }) => alert)
    expect(new Set(names).size).toBe(names.length)
    for (const rule of rules) {
      expect(rule).toMatchObject({
        labels: { severity: expect.stringMatching(/^(page|ticket)$/) as string },
        annotations: { summary: expect.any(String) as string, description: expect.any(String) as string },
      })
    }
  })

  test('panels have one id each and fit side by side', () => {
    const { panels } = dashboard
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
    for (const { gridPos } of panels) expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24)
  })

  test('promtool finds nothing wrong with the rules, where it is installed', ({ skip }) => {
    const found = spawnSync('promtool', ['check', 'rules', `${ROOT}/${RULES}`], { encoding: 'utf8' })
    if (found.error) return skip('no promtool on this machine')
    expect([found.status, found.stderr]).toEqual([0, ''])
  })
})

describe('the reader of expressions', () => {
  test('finds metrics, labels and groups', () => {
    expect(mentionsOf('sum by (a, b) (rate(x_total{c="1",d!~"2|3"}[5m])) > 0.5 * y')).toEqual({
      metrics: [
        { name: 'x_total', labels: ['c', 'd'] },
        { name: 'y', labels: [] },
      ],
      grouping: ['a', 'b'],
      functions: ['sum', 'rate'],
    })
  })

  test.each(['sum(x', 'x{a}', 'x)', 'x{a="1"', 'x # y'])('refuses %j', (expression) => {
    expect(() => mentionsOf(expression)).toThrow()
  })
})
