// foreign.mjs <scratch folder>: what other people's tools say of the daemons that `npm ci` has built.
//
//   @redocly/cli   lints openapi.json of an open and of a closed server
//   schemathesis   sends both what the document allows, and what it does not
//   promtool       checks the metrics of server, witness, mirror and monitor
//   sumdb          Go's own packages for logs (golang.org/x/mod/sumdb) read the open log, and check proofs of it
//   torchwood      reads every entry of it; verifies its proof files, as `stele verify` verifies torchwood's
//   hammer, fsck   Tessera's: the one appends and reads for some seconds, the other recomputes the whole log
//   ctclient       reads the same log as a client of Certificate Transparency
//   litewitness    cosigns for a log whose policy names it
//
// They come from the npm registry, from PyPI, from Debian's packages, and as Go modules (`foreign/build`). What cannot be
// had is skipped, with the reason.
// The last line is `passed failed skipped`.
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import process, { argv, env, execPath } from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
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

/** Starts one of Stele's daemons. @returns its URL, once it says it: what `place` catches */
function start(args, place = /"url":"(http:[^"]+)"[^\n]*"msg":"listening"/) {
  return startProgram(execPath, [STELE, ...args], place)
}

/** Starts what runs until the end. @returns what `place` catches of its output, once it is there */
function startProgram(command, args, place) {
  const child = spawn(command, args, { ...at, stdio: ['ignore', 'pipe', 'pipe'] })
  daemons.push(child)
  return new Promise((resolve, reject) => {
    let told = ''
    const hear = (chunk) => {
      told += chunk
      const [, found] = place.exec(told) ?? []
      if (found !== undefined) resolve(found)
    }
    child.stdout.on('data', hear)
    child.stderr.on('data', hear)
    child.on('error', reject)
    child.on('close', () => reject(new Error(`${command} ${args.join(' ')} ended:\n${told}`)))
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

/** What the compiler says of our own code, or of versions that go.mod and go.sum do not give: no reason to skip a tool. */
const OUR_FAULT = /^# foreign\/|checksum mismatch|missing go\.sum entry|updates to go\.mod needed/m

/** Compiles the Go tools, or waits until .ci/run has. @returns what gives the commands of some of them */
async function goTools() {
  const folder = join(SCRATCH, 'go')
  const { ok, output } = await run(join(HERE, 'foreign', 'build'), [folder], { seconds: 330 })
  return (...names) => {
    if (!ok) return { missing: lastLine(output) }
    const lacking = names.find((name) => !existsSync(join(folder, name)))
    if (lacking === undefined) return { command: names.map((name) => join(folder, name)) }
    const told = readFileSync(join(folder, `${lacking}.log`), 'utf8')
    return OUR_FAULT.test(told) ? { broken: told } : { missing: lastLine(told) }
  }
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
  const { verifierKey } = await mainLog(open)
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

/** What a server says of its first log. */
async function mainLog(server) {
  return (await (await fetch(`${server}/v1/logs`)).json()).logs[0]
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

/** Runs Go's packages on a log. */
function readWithSumdb([sumdb], log, { verifierKey }) {
  return run(sumdb, [log, verifierKey])
}

/** Torchwood verifies what the log made, and `stele verify` what torchwood made. */
async function exchangeProofs(torchwood, log, policy, folder) {
  mkdirSync(join(SCRATCH, folder))
  const read = await run(torchwood, [log, policy, folder])
  return read.ok ? run(execPath, [STELE, 'verify', folder, '--policy', policy]) : read
}

async function readWithTorchwood([torchwood], log, { verifierKey }) {
  writeFileSync(join(SCRATCH, 'log.policy'), `log ${verifierKey}\nquorum none\n`)
  return exchangeProofs(torchwood, log, 'log.policy', 'torchwood')
}

/** Writes 600 entries, reads meanwhile, and holds each checkpoint against the one before. It ends well with warnings, too. */
async function hammer([command], log, { verifierKey }) {
  const where = ['-log_url', `${log}/`, '-log_public_key', verifierKey, '-show_ui=false']
  const writers = ['-num_writers', '16', '-max_write_ops', '200', '-leaf_write_goal', '600']
  const bounds = ['-max_read_ops', '200', '-max_runtime', '60s']
  const { ok, output } = await run(command, [...where, ...writers, ...bounds])
  // Requests that its own end cuts off are no fault of the log, nor is it one to ask for patience.
  const complains = /^[WEF]\d{4} (?!.*(context canceled|received pushback))/m.test(output)
  return { ok: ok && !complains, output }
}

/** Its exit status says nothing, and where a tile is wrong it does not end. */
async function fsck([command], log, { verifierKey }) {
  writeFileSync(join(SCRATCH, 'log.key'), verifierKey)
  const args = ['-storage_url', `${log}/`, '-public_key', 'log.key', '-ui=false', '-N', '2']
  const { output } = await run(command, args, { seconds: 60 })
  return { ok: /Successfully fsck'd log/.test(output) && !/fsck failed/.test(output), output }
}

/** @param before the log when it was smaller */
async function readAsCt([command], server, before) {
  const { treeHeadKey, treeSize, rootHash } = await mainLog(server)
  writeFileSync(join(SCRATCH, 'tree-head.pem'), pem(treeHeadKey))
  const log = `${server}/logs/main`
  const ask = (name, ...args) => run(command, [name, '--log_uri', log, '--pub_key', 'tree-head.pem', ...args])
  const { leafHash } = await (await fetch(`${log}/v1/proofs/inclusion?index=1&size=2`)).json()
  const sizes = ['--prev_size', before.treeSize, '--size', treeSize]
  const hashes = ['--prev_hash', before.rootHash, '--tree_hash', rootHash]
  const answers = [
    [/Got STH/, await ask('get-sth')],
    [/Verified that hash/, await ask('get-inclusion-proof', '--leaf_hash', leafHash)],
    [/Verified that hash/, await ask('get-consistency-proof', ...sizes, ...hashes)],
    // These entries are no certificates: it says so of each of them.
    [/Index=0 .*Index=1 .*Index=2 /, await ask('get-entries', '--first', '0', '--last', '2')],
  ]
  const good = ([expected, { ok, output }]) => ok && expected.test(output)
  const output = answers.map(([, answer]) => answer.output).join('\n')
  return { ok: answers.every(good), output }
}

const pem = (key) => `-----BEGIN PUBLIC KEY-----\n${key}\n-----END PUBLIC KEY-----\n`

/** A log that waits for litewitness grows twice, and torchwood reads it under the policy that names both. */
async function cosign([agent, litewitness, witnessctl, torchwood]) {
  const [key] = /\S+\+[0-9a-f]{8}\+\S+/.exec(await stele('witnessed', 'init', '--public'))
  const [origin] = key.split('+')
  await must(witnessctl, ['add-log', '-db', 'litewitness.db', '-origin', origin])
  await must(witnessctl, ['add-key', '-db', 'litewitness.db', '-origin', origin, '-key', key])
  const { url, witnessKey } = await startLitewitness(agent, litewitness)
  const policy = [
    '--log',
    key,
    '--witness',
    `${witnessKey}=${url}`,
    '--quorum',
    '1',
    '-o',
    'witnessed.policy',
  ]
  await stele('witnessed', 'policy', 'make', ...policy)
  await stele('witnessed', 'log', 'set-policy', 'main', 'witnessed.policy')
  const log = `${await start(['serve', '--data', 'witnessed', '--open', '--port', '0'])}/logs/main`
  for (const body of ['first', 'second', 'third']) {
    const { status } = await fetch(`${log}/v1/entries?wait=published`, { method: 'POST', body })
    if (status !== 200) return { ok: false, output: `"${body}" was not published: ${status}` }
  }
  return exchangeProofs(torchwood, log, 'witnessed.policy', 'cosigned')
}

async function startLitewitness(agent, litewitness) {
  const fingerprint = await startProgram(agent, ['agent.sock'], /(SHA256:\S+)/)
  const place = `127.0.0.1:${await freePort()}`
  const key = ['-key', fingerprint, '-ssh-agent', 'agent.sock']
  const args = ['-name', 'litewitness.example/1', ...key, '-db', 'litewitness.db', '-listen', place]
  const witnessKey = await startProgram(litewitness, args, /vkey="?([^\s"]+)/)
  const url = `http://${place}`
  await untilAnswers(url)
  return { url, witnessKey }
}

/** litewitness does not say which port it got, so it is given one. */
function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}

async function untilAnswers(url) {
  for (let tries = 1; ; tries++) {
    try {
      return await text(url)
    } catch (error) {
      if (tries === 100) throw error
      await sleep(100)
    }
  }
}

const counts = { passed: 0, failed: 0, skipped: 0 }

async function check(title, { command, missing, broken }, ask) {
  if (missing !== undefined) {
    counts.skipped++
    return console.log(`skipped: ${title}: ${missing}`)
  }
  const startedMs = Date.now()
  const { ok, output } = broken === undefined ? await ask(command) : { ok: false, output: broken }
  counts[ok ? 'passed' : 'failed']++
  console.log(`${ok ? 'passed' : 'FAILED'}: ${title}, ${Math.round((Date.now() - startedMs) / 1000)} s`)
  if (!ok) console.log(output)
}

async function checkAll() {
  const compiled = goTools()
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
  await checkWithGo(await compiled, open)
}

/** Last, for compiling takes long, and so that they also see what schemathesis has left in the log. */
async function checkWithGo(tools, server) {
  const log = `${server}/logs/main`
  const before = await mainLog(server)
  await check('golang.org/x/mod/sumdb', tools('sumdb'), (tool) => readWithSumdb(tool, log, before))
  await check('torchwood', tools('torchwood'), (tool) => readWithTorchwood(tool, log, before))
  await check('Tessera hammer', tools('hammer'), (tool) => hammer(tool, log, before))
  await check('Tessera fsck', tools('fsck'), (tool) => fsck(tool, log, before))
  await check('ctclient', tools('ctclient'), (tool) => readAsCt(tool, server, before))
  await check('litewitness', tools('agent', 'litewitness', 'witnessctl', 'torchwood'), cosign)
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
