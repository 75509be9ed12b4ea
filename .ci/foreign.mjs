// foreign.mjs <scratch folder>: what other people's tools say of the daemons that `npm ci` has built.
//
//   @redocly/cli   lints openapi.json of an open and of a closed server
//   schemathesis   sends both what the document allows, and what it does not
//   promtool       checks the metrics of server, witness, mirror and monitor
//
// They come from the npm registry, from PyPI and from Debian's packages. What cannot be had is skipped, with the reason.
// The last line is `passed failed skipped`.
import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import process, { argv, env, execPath } from 'node:process'
import { fileURLToPath } from 'node:url'

const HERE = dirname(fileURLToPath(import.meta.url))
const STELE = join(HERE, '..', 'dist', 'cli', 'main.js')
const SCRATCH = argv[2]
const REDOCLY = '@redocly/cli@2.77.0'
const SCHEMATHESIS = 'schemathesis==4.32.5'
/** Requests of each operation that schemathesis makes up, beside those that cover each limit of the document once. */
const EXAMPLES = '5'
/** Everything runs there: what the tools leave is removed with the folder. */
const at = { cwd: SCRATCH }

const daemons = []

/** Runs a command. @returns what it wrote, also of one that failed or was not there */
function run(command, args, { input = '', seconds = 120, ...options } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { ...at, ...options })
    const timer = setTimeout(() => child.kill(), seconds * 1000)
    const done = (result) => {
      // Not left to spawn's own timeout: where there is no such command, that one keeps this process waiting.
      clearTimeout(timer)
      resolve(result)
    }
    let output = ''
    child.stdout.on('data', (chunk) => (output += chunk))
    child.stderr.on('data', (chunk) => (output += chunk))
    child.stdin.on('error', () => {}).end(input)
    child.on('error', (error) => done({ ok: false, output: error.message }))
    child.on('close', (status) => done({ ok: status === 0, output }))
  })
}

async function must(command, args, options) {
  const { ok, output } = await run(command, args, options)
  if (!ok) throw new Error(`${command} ${args.join(' ')}\n${output}`)
  return output
}

const stele = (folder, ...args) => must(execPath, [STELE, '--data', folder, '--quiet', ...args])

/** Starts a daemon. @returns its URL, once it says it: what `place` catches */
function start(args, place = /"url":"(http:[^"]+)"[^\n]*"msg":"listening"/) {
  const child = spawn(execPath, [STELE, ...args], { ...at, stdio: ['ignore', 'ignore', 'pipe'] })
  daemons.push(child)
  return new Promise((resolve, reject) => {
    let told = ''
    child.stderr.on('data', (chunk) => {
      told += chunk
      const [, url] = place.exec(told) ?? []
      if (url !== undefined) resolve(url)
    })
    child.on('close', () => reject(new Error(`stele ${args.join(' ')} ended:\n${told}`)))
  })
}

// The tools.

async function redocly() {
  const { ok, output } = await run('npx', ['-y', REDOCLY, '--version'])
  return ok ? { command: ['npx', '-y', REDOCLY] } : { missing: lastLine(output) }
}

async function schemathesis() {
  const folder = join(SCRATCH, 'python')
  const made = await run('python3', ['-m', 'venv', folder])
  if (!made.ok) return { missing: lastLine(made.output) }
  const python = join(folder, 'bin', 'python')
  const args = ['-m', 'pip', 'install', '-q', '--disable-pip-version-check', '--retries', '1', SCHEMATHESIS]
  const { ok, output } = await run(python, args)
  return ok ? { command: [join(folder, 'bin', 'schemathesis')] } : { missing: lastLine(output) }
}

/** The package is taken apart rather than installed: installing it would start a server. */
async function promtool() {
  if ((await run('promtool', ['--version'])).ok) return { command: ['promtool'] }
  const download = () => run('apt-get', ['download', 'prometheus'])
  let { ok, output } = await download()
  // The lists of packages may be old, or not there yet.
  if (!ok && (await run('apt-get', ['update', '-qq'])).ok) ({ ok, output } = await download())
  if (!ok) return { missing: lastLine(output) }
  await must('sh', ['-c', 'dpkg -x prometheus_*.deb prometheus'])
  return { command: [join(SCRATCH, 'prometheus', 'usr', 'bin', 'promtool')] }
}

function lastLine(text) {
  return text.trim().split('\n').at(-1) ?? ''
}

// What they are pointed at.

async function startDaemons() {
  await stele('open', 'init', '--public')
  await stele('closed', 'init', '--provisioning-key-file', 'provisioning.key')
  const open = await start(['serve', '--data', 'open', '--open', '--port', '0'])
  const closed = await start(['serve', '--data', 'closed', '--port', '0'])
  const log = `${open}/logs/main`
  writeFileSync(join(SCRATCH, 'lines'), Array.from({ length: 300 }, (_, i) => `entry ${i}\n`).join(''))
  await stele('open', 'add', '--url', log, '--lines', 'lines')
  const [{ verifierKey }] = (await (await fetch(`${open}/v1/logs`)).json()).logs
  await stele('witness', 'witness', 'init', '--name', 'witness.example/1')
  await stele('witness', 'witness', 'add-log', verifierKey)
  await stele('mirror', 'mirror', 'init', '--name', 'mirror.example/1')
  await stele('mirror', 'mirror', 'add-log', verifierKey, '--url', log)
  const witness = await start(['witness', 'serve', '--data', 'witness', '--port', '0'])
  const mirror = await start(['mirror', 'serve', '--data', 'mirror', '--port', '0'])
  const monitor = await start(
    ['monitor', log, '--key', verifierKey, '--metrics-port', '0'],
    /(http:[^\s"]+)\/metrics/,
  )
  const key = readFileSync(join(SCRATCH, 'provisioning.key'), 'utf8').trim()
  return { open, closed, witness, mirror, monitor, key }
}

async function keyOfReader(closed, key) {
  const body = JSON.stringify({ role: 'reader', logs: '*' })
  const answer = await fetch(`${closed}/v1/keys`, { method: 'POST', headers: bearer(key), body })
  return (await answer.json()).key
}

const bearer = (key) => ({ authorization: `Bearer ${key}` })

async function text(url) {
  return (await fetch(url)).text()
}

// What they are asked.

async function lint([command, ...args], url, name) {
  const file = `${name}-openapi.json`
  writeFileSync(join(SCRATCH, file), await text(`${url}/openapi.json`))
  return run(command, [...args, 'lint', '--extends', 'recommended-strict', file])
}

function examine([command], url, key, ...more) {
  const credentials = key === undefined ? [] : ['--header', `Authorization: Bearer ${key}`]
  const bounds = ['--max-examples', EXAMPLES, '--request-timeout', '10', '--no-shrink']
  const config = ['--config-file', join(HERE, 'schemathesis.toml')]
  const args = [
    ...config,
    'run',
    `${url}/openapi.json`,
    '--checks',
    'all',
    ...bounds,
    ...credentials,
    ...more,
  ]
  const path = { ...env, PYTHONPATH: HERE, PYTHONDONTWRITEBYTECODE: '1' }
  return run(command, args, { env: path, seconds: 240 })
}

async function checkMetrics([command], url) {
  return run(command, ['check', 'metrics'], { input: await text(`${url}/metrics`) })
}

const counts = { passed: 0, failed: 0, skipped: 0 }

async function check(title, { command, missing }, ask) {
  if (missing !== undefined) {
    counts.skipped++
    return console.log(`skipped: ${title}: ${missing}`)
  }
  const startedMs = Date.now()
  const { ok, output } = await ask(command)
  counts[ok ? 'passed' : 'failed']++
  console.log(`${ok ? 'passed' : 'FAILED'}: ${title}, ${Math.round((Date.now() - startedMs) / 1000)} s`)
  if (!ok) console.log(output)
}

async function checkAll() {
  const having = [redocly(), schemathesis(), promtool(), startDaemons()]
  const [linter, tester, prometheus, daemonsAt] = await Promise.all(having)
  const { open, closed, key, ...others } = daemonsAt
  await check('redocly lint, open server', linter, (tool) => lint(tool, open, 'open'))
  await check('redocly lint, closed server', linter, (tool) => lint(tool, closed, 'closed'))
  for (const [daemon, url] of Object.entries({ server: open, ...others })) {
    await check(`promtool check metrics, ${daemon}`, prometheus, (tool) => checkMetrics(tool, url))
  }
  // Guesses at keys are slowed down for their network, so that what takes a key is tried where there is one.
  const managed = String.raw`^/v1/(keys|logs/\{log\}/)`
  const reader = await keyOfReader(closed, key)
  await check('schemathesis, open server, no key', tester, (tool) =>
    examine(tool, open, undefined, '--exclude-path-regex', managed),
  )
  await check('schemathesis, closed server, key of a reader', tester, (tool) =>
    examine(tool, closed, reader, '--include-path-regex', '^/logs/'),
  )
  await check('schemathesis, closed server, provisioning key', tester, (tool) =>
    examine(tool, closed, key, '--exclude-path-regex', '^/logs/'),
  )
}

try {
  await checkAll()
} catch (error) {
  console.log(error)
  counts.failed++
} finally {
  for (const daemon of daemons) daemon.removeAllListeners('close').kill()
}
console.log(`${counts.passed} ${counts.failed} ${counts.skipped}`)
if (counts.failed > 0) process.exitCode = 1
