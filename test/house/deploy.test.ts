import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { EXIT_CODES } from '../../src/cli/exit-codes.ts'
import { readLogInfo } from '../../src/instance/data-folder.ts'
import { loadConfig, optionList } from '../../src/config/config.ts'
import { Instance } from '../access/instance.ts'
import { stele } from '../cli/fixture.ts'
import { testFolder } from '../support/folder.ts'
import { readText, ROOT } from './repository.ts'

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string }
}
interface Pod {
  readonly terminationGracePeriodSeconds: number
  readonly securityContext: Record<string, unknown>
  readonly containers: readonly {
    readonly image: string
    readonly args: string[]
    readonly ports: { readonly name: string; readonly containerPort: number }[]
    readonly securityContext: object
    readonly startupProbe: Probe
    readonly livenessProbe: Probe
    readonly readinessProbe: Probe
    readonly volumeMounts: { readonly name: string; readonly mountPath: string }[]
  }[]
  readonly volumes: {
    readonly name: string
    readonly persistentVolumeClaim?: { readonly claimName: string }
  }[]
}
interface Manifest {
  readonly kind: string
  readonly metadata: { readonly name: string }
  readonly data: Record<string, string>
  readonly spec: {
    readonly replicas: number
    readonly serviceName: string
    readonly selector: object
    readonly ports: { readonly port: number; readonly targetPort: string }[]
    readonly template: { readonly metadata: object; readonly spec: Pod }
  }
}

const unit = readText('scripts/deploy/stele.service')
const containerfile = readText('scripts/deploy/Containerfile').replaceAll('\\\n', '')

function manifests(file: string): Map<string, Manifest> {
  const documents = parseAllDocuments(readText(file))
  for (const document of documents) expect([...document.errors, ...document.warnings]).toEqual([])
  const all = documents.map((document) => document.toJS() as Manifest)
  return new Map(all.map((manifest) => [manifest.kind, manifest]))
}

/** What follows a word at the begin of a line: all such lines. */
function lines(text: string, word: string): string[] {
  return [...text.matchAll(new RegExp(`^${word}[ =](.*)$`, 'gm'))].map((match) => match[1]!.trim())
}

const json = (text: string): string[] => JSON.parse(text) as string[]
/** Flags of a command line, without their dashes. */
const flagsOf = (args: readonly string[]): string[] =>
  args.filter((arg) => arg.startsWith('--')).map((arg) => arg.slice(2).split('=')[0]!)
const SERVE_FLAGS = ['config', ...optionList.map(({ name }) => name)]
const valueOf = (args: readonly string[], flag: string): string | undefined => args[args.indexOf(flag) + 1]
const stopSeconds = loadConfig({})['stop-timeout-seconds']

/** Why a data folder is not opened, for as long as nobody does anything about it. */
const HOPELESS = [
  'usage',
  'malformed',
  'wrong_origin',
  'untrusted_signer',
  'bad_signature',
  'bad_proof',
  'fork',
  'rolled_back',
  'not_initialised',
  'foreign_format',
  'key_missing',
  'key_permissions',
  'wrong_key',
  'corrupt',
  'head_missing',
] as const

describe('the systemd unit', () => {
  const commands = [...lines(unit, 'ExecStartPre'), ...lines(unit, 'ExecStart')].map((line) =>
    line.split(' '),
  )

  test('runs commands that exist, with flags that exist', async () => {
    expect(commands.map((command) => command.slice(0, 2))).toEqual(
      commands.map(() => ['/usr/bin/node', '/opt/stele/dist/cli/bin.cjs']),
    )
    expect(commands.map((command) => command.slice(2).filter((arg) => /^[a-z]+$/.test(arg)))).toEqual([
      ['config', 'check'],
      ['serve'],
    ])
    for (const command of commands) {
      expect(SERVE_FLAGS).toEqual(expect.arrayContaining(flagsOf(command)))
      const words = command.slice(2).filter((arg) => /^[a-z]+$/.test(arg))
      expect((await stele([...words, '--help'])).code).toBe(0)
    }
  })

  test('lets a stop take as long as it may, and starts again only where that can help', () => {
    expect(Number(lines(unit, 'TimeoutStopSec')[0])).toBeGreaterThan(stopSeconds)
    const helpless = lines(unit, 'RestartPreventExitStatus')[0]!.split(' ').map(Number)
    expect(Object.values(EXIT_CODES)).toEqual(expect.arrayContaining(helpless))
    for (const code of ['io_error', 'locked', 'internal'] as const)
      expect(helpless).not.toContain(EXIT_CODES[code])
    for (const code of HOPELESS)
      expect([code, helpless]).toEqual([code, expect.arrayContaining([EXIT_CODES[code]])])
    expect(lines(unit, 'LimitCORE')).toEqual(['0'])
    expect(Number(lines(unit, 'LimitNOFILE')[0])).toBeGreaterThan(loadConfig({})['max-connections'])
  })

  test('is understood by systemd, which finds little that it may do', ({ skip }) => {
    const found = spawnSync('systemd-analyze', ['--version'])
    if (found.error) return skip('no systemd-analyze on this machine')
    const file = `${testFolder()}/stele.service`
    // What it runs is not installed here.
    writeFileSync(file, unit.replaceAll('/usr/bin/node', '/bin/true').replace(/^Documentation=.*\n/m, ''))
    const analyze = (...args: string[]): string => {
      const { status, stdout, stderr } = spawnSync('systemd-analyze', [...args, file], { encoding: 'utf8' })
      return status === 0 ? stderr : `${status} ${stdout} ${stderr}`
    }
    expect(
      analyze('verify', '--man=no')
        .split('\n')
        .filter((line) => line.includes('stele.service')),
    ).toEqual([])
    expect(analyze('security', '--offline=true', '--threshold=20', '--no-pager')).toBe('')
  })
})

describe('the image', () => {
  const stages = containerfile.split(/^FROM /m).slice(1)
  const [build, final] = stages as [string, string]

  test('is built in two stages, from files that are there', () => {
    expect(stages).toHaveLength(2)
    const sources = lines(containerfile, 'COPY')
      .filter((copy) => !copy.startsWith('--from'))
      .flatMap((copy) => copy.split(' ').slice(0, -1))
    expect(sources.length).toBeGreaterThan(4)
    const kept = readText('.dockerignore').split('\n')
    for (const source of sources) {
      expect(existsSync(join(ROOT, source))).toBe(true)
      expect(kept).toContain(`!${source}`)
    }
    expect(lines(final, 'COPY').filter((copy) => copy.startsWith('--from=build'))).toHaveLength(3)
    expect(build).toContain('npm ci')
  })

  test('runs as nobody in particular, where it can be stopped and asked how it is', () => {
    expect(lines(final, 'USER')).toEqual(['10001:10001'])
    expect(lines(final, 'STOPSIGNAL')).toEqual(['SIGTERM'])
    const [port] = lines(final, 'EXPOSE')
    const command = json(lines(final, 'CMD')[0]!)
    expect(command[0]).toBe('serve')
    expect(SERVE_FLAGS).toEqual(expect.arrayContaining(flagsOf(command)))
    expect(valueOf(command, '--port')).toBe(port)
    expect(valueOf(command, '--data')!.startsWith(`${lines(final, 'VOLUME')[0]}/`)).toBe(true)
    expect(lines(final, 'HEALTHCHECK')[0]).toContain(`http://127.0.0.1:${port}/healthz`)
    expect(json(lines(final, 'ENTRYPOINT')[0]!)).toEqual(['node', '/opt/stele/dist/cli/bin.cjs'])
  })
})

describe('the manifests', () => {
  const found = manifests('scripts/deploy/kubernetes.yaml')
  const { spec } = found.get('StatefulSet')!
  const pod = spec.template.spec
  const [container] = pod.containers as [Pod['containers'][number]]
  const file = `/stele.yaml`

  test('hold a configuration without mistakes, at the place that the server is told', () => {
    const folder = testFolder()
    writeFileSync(folder + file, found.get('ConfigMap')!.data['stele.yaml']!)
    const config = loadConfig({ file: folder + file })
    const mounts = new Map(container.volumeMounts.map(({ name, mountPath }) => [name, mountPath]))
    expect(container.args).toEqual(['serve', '--config', `${mounts.get('config')}/stele.yaml`])
    expect(config.data.startsWith(`${mounts.get('data')}/`)).toBe(true)
    expect(config.host).toBe('0.0.0.0')
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(config['stop-timeout-seconds'])
    expect(container.ports).toEqual([{ name: 'http', containerPort: config.port }])
    expect(found.get('Service')!.spec.ports).toMatchObject([{ port: config.port, targetPort: 'http' }])
  })

  test('have one writer, as itself, on the one volume', () => {
    expect(spec.replicas).toBe(1)
    expect(spec.serviceName).toBe(found.get('Service')!.metadata.name)
    const first = manifests('scripts/deploy/kubernetes-init.yaml')
    const claim = first.get('PersistentVolumeClaim')!.metadata.name
    const init = first.get('Job')!.spec.template.spec
    for (const each of [pod, init]) {
      expect(each.volumes.find(({ name }) => name === 'data')!.persistentVolumeClaim).toEqual({
        claimName: claim,
      })
      expect(each.securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: 10_001 })
      expect(each.securityContext).toEqual(pod.securityContext)
      expect(each.containers[0]!.securityContext).toEqual(container.securityContext)
      expect(each.containers[0]!.image).toBe(container.image)
    }
    const { version } = JSON.parse(readText('package.json')) as { version: string }
    expect(container.image).toBe(`stele:${version}`)
  })

  test('ask paths that the server has', () => {
    const { startupProbe, livenessProbe, readinessProbe } = container
    const asked = [startupProbe, livenessProbe, readinessProbe].map(({ httpGet }) => httpGet)
    expect(asked.map(({ path }) => path)).toEqual(['/healthz', '/healthz', '/servez'])
    expect(asked.every(({ port }) => port === 'http')).toBe(true)
  })

  test('make the data folder with a command that does so', async () => {
    const init = manifests('scripts/deploy/kubernetes-init.yaml').get('Job')!.spec.template.spec
    const folder = testFolder()
    const args = init.containers[0]!.args.map((arg) => arg.replace(/^\/data/, folder))
    const ran = await stele(args)
    expect([ran.code, ran.out]).toEqual([0, expect.stringMatching(/^log\.example\.com\/logs\/main\+\S+\n$/)])
    // What a job says is kept, and shown to everybody who may look at pods.
    expect(ran.out + ran.err).not.toContain('st_provisioning_')
    expect(readFileSync(`${folder}/provisioning.key`, 'utf8')).toMatch(/^st_provisioning_/)
    expect(await readLogInfo(`${folder}/stele`, 'main')).toMatchObject({ reads: 'private' })
    expect((await stele(args)).code).toBe(EXIT_CODES.already_exists)
  })
})

test('Prometheus reads the metrics as the scrape job says, with a key that may do nothing else', async () => {
  const [job] = (parse(readText('scripts/deploy/prometheus-scrape.yaml')) as Scraping).scrape_configs
  const rules = readText('scripts/deploy/prometheus-rules.yaml')
  expect(job!.job_name).toBe(/up\{job="([^"]+)"\}/.exec(rules)![1])
  const at = await Instance.started()
  const file = `${testFolder()}/${job!.authorization.credentials_file.split('/').at(-1)}`
  const [, command] = /^# {3}stele (key create .*)$/m.exec(readText('scripts/deploy/prometheus-scrape.yaml'))!
  const args = command!
    .split(' ')
    .map((arg) => ({ 'stele-operator.key': file, 'https://log.example.com': at.url })[arg] ?? arg)
  expect((await stele(args, { env: { STELE_API_KEY: at.provisioning } })).code).toBe(0)
  // As Prometheus does it: the file without white space at its ends.
  const key = readFileSync(file, 'utf8').trim()
  const asked = { headers: { authorization: `${job!.authorization.type} ${key}` } }
  const answer = await fetch(at.url + job!.metrics_path, asked)
  expect([answer.status, await answer.text()]).toEqual([
    200,
    expect.stringContaining('stele_log_open{log="main"} 1'),
  ])
  expect((await fetch(at.url + job!.metrics_path)).status).toBe(401)
  expect((await fetch(`${at.url}/v1/keys`, asked)).status).toBe(403)
})

interface Scraping {
  readonly scrape_configs: readonly {
    readonly job_name: string
    readonly metrics_path: string
    readonly authorization: { readonly type: string; readonly credentials_file: string }
  }[]
}
