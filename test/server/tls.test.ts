import { spawn } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { Agent, request } from 'node:https'
import { connect as connectPlain, type Socket } from 'node:net'
import { join } from 'node:path'
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'
import { initAccess } from '../../src/instance/access-files.ts'
import { loadConfig } from '../../src/config/config.ts'
import { createLog, initDataFolder } from '../../src/instance/data-folder.ts'
import { createServerLog } from '../../src/http/server-log.ts'
import { createServer, type RunningServer } from '../../src/server/start.ts'
import { selfSigned, type CertificateOptions, type TestCertificate } from '../support/certificate.ts'
import { testFolder } from '../support/folder.ts'
import { ServerProcess } from '../support/process.ts'

const DAY_MS = 86_400_000

/** A data folder, a certificate beside it, and the server that shows it. */
class TlsFixture {
  readonly folder = testFolder()
  readonly data = join(this.folder, 'data')
  readonly files = { cert: join(this.folder, 'cert.pem'), key: join(this.folder, 'key.pem') }
  readonly lines: Record<string, unknown>[] = []
  readonly cas: string[] = []
  server!: RunningServer

  async init(options?: CertificateOptions): Promise<this> {
    await initDataFolder(this.data)
    await createLog(this.data, {
      name: 'main',
      origin: 'log.example/main',
      allowDuplicates: false,
      reads: 'public',
    })
    await initAccess(this.data, 'log.example/meta')
    this.write(selfSigned(options))
    return this
  }

  write({ cert, key }: TestCertificate): string {
    writeFileSync(this.files.cert, cert)
    writeFileSync(this.files.key, key, { mode: 0o600 })
    this.cas.push(cert)
    return new X509Certificate(cert).fingerprint256
  }

  get flags(): Record<string, string> {
    return { data: this.data, port: '0', 'tls-cert': this.files.cert, 'tls-key': this.files.key }
  }

  async start(flags: Record<string, string> = {}): Promise<this> {
    const logger = createServerLog('info', {
      write: (line) => void this.lines.push(JSON.parse(line) as Record<string, unknown>),
    })
    this.server = await createServer(loadConfig({ flags: { ...this.flags, ...flags } }), logger)
    let closed: Promise<void> | undefined
    const { close } = this.server
    this.server = { ...this.server, close: () => (closed ??= close()) }
    onTestFinished(() => this.server.close())
    return this
  }

  get port(): number {
    return Number(new URL(this.server.url).port)
  }

  /** A TLS connection that trusts exactly this fixture's certificates. */
  async connect(options: ConnectionOptions = {}): Promise<TLSSocket> {
    const socket = connect({ port: this.port, host: '127.0.0.1', ca: this.cas, ...options })
    onTestFinished(() => void socket.destroy())
    await once(socket, 'secureConnect')
    return socket
  }

  async get(path: string, agent?: Agent): Promise<Got> {
    const req = request({
      port: this.port,
      host: '127.0.0.1',
      ca: agent ? this.cas.slice(0, 1) : this.cas,
      path,
      agent: agent ?? false,
    })
    req.end()
    const [res] = (await once(req, 'response')) as [IncomingMessage]
    // Of a connection that is kept, the answer lets go at its end.
    const { fingerprint256 } = (res.socket as TLSSocket).getPeerCertificate()
    let text = ''
    for await (const chunk of res) text += String(chunk)
    return {
      status: res.statusCode,
      headers: res.headers,
      text,
      fingerprint: fingerprint256,
      socket: req.socket,
    }
  }

  /** What stands in the meta log about an event. */
  async events(name: string): Promise<Record<string, unknown>[]> {
    const log = this.server.logs.get('meta')!.log!
    const pages = await log.readEntries(0, log.published.size)
    const lines = pages.flatMap((page) => new TextDecoder().decode(page).trim().split('\n'))
    return lines
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter(({ event }) => event === name)
  }
}

interface Got {
  readonly status: number | undefined
  readonly headers: Record<string, unknown>
  readonly text: string
  readonly fingerprint: string
  readonly socket: unknown
}

const started = async (flags?: Record<string, string>): Promise<TlsFixture> =>
  (await new TlsFixture().init()).start(flags)

describe('a server with a certificate', () => {
  test('says https, answers as ever, and tells browsers to stay with it', async () => {
    const fixture = await started()
    expect(fixture.server.url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/)
    const { status, headers, text } = await fixture.get('/logs/main/checkpoint')
    expect([status, headers['strict-transport-security']]).toEqual([200, 'max-age=31536000'])
    expect(text).toMatch(/^log\.example\/main\n0\n/)
    expect((await fixture.get('/nowhere')).headers['strict-transport-security']).toBe('max-age=31536000')
    expect((await fixture.get('/readyz')).status).toBe(200)
  })

  test.each([['TLSv1.3'], ['TLSv1.2']] as const)('speaks %s, with forward secrecy', async (version) => {
    const fixture = await started()
    const socket = await fixture.connect({ minVersion: version, maxVersion: version })
    expect(socket.getProtocol()).toBe(version)
    expect(socket.getCipher().standardName).toMatch(/^TLS_(ECDHE_.*)?.*(GCM|POLY1305)/)
  })

  test.each([
    ['TLS 1.1', { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }],
    ['a cipher without forward secrecy', { maxVersion: 'TLSv1.2', ciphers: 'AES128-GCM-SHA256' }],
    ['CBC', { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA' }],
  ] as const)('refuses %s, and goes on', async (_, options) => {
    const fixture = await started()
    await expect(fixture.connect(options)).rejects.toThrow()
    expect((await fixture.get('/healthz')).status).toBe(200)
  })

  test('needs no server name from its callers', async () => {
    const fixture = await started()
    const socket = await fixture.connect({ servername: '' })
    expect(socket.authorized).toBe(true)
    socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
    expect(await readAll(socket)).toMatch(/^HTTP\/1\.1 200 /)
  })

  test('answers what is no HTTP in its own words', async () => {
    const fixture = await started()
    const socket = await fixture.connect()
    socket.write('complete nonsense\r\n\r\n')
    const answer = await readAll(socket)
    expect(answer).toMatch(/^HTTP\/1\.1 400 /)
    expect(answer).toContain('strict-transport-security: max-age=31536000')
    expect(answer).toContain('x-content-type-options: nosniff')
    expect(JSON.parse(answer.split('\r\n\r\n')[1]!)).toMatchObject({ code: 'malformed' })
  })

  test('answers a head that does not come to its end as ever', async () => {
    const fixture = await started({ 'headers-timeout-seconds': '0.3' })
    const socket = await fixture.connect()
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n')
    const answer = await readAll(socket)
    expect(answer).toMatch(/^HTTP\/1\.1 408 /)
    expect(answer).toContain('"code":"too_slow"')
  })

  test('closes a connection that speaks plain HTTP, without a word of its own', async () => {
    const fixture = await started()
    const socket = connectPlain(fixture.port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n')
    expect(await readAll(socket)).not.toContain('HTTP/1.1')
    expect((await fixture.get('/healthz')).status).toBe(200)
  })

  test('closes a handshake that does not come to its end, however often a byte of it comes', async () => {
    const fixture = await started({ 'headers-timeout-seconds': '0.3' })
    const silent = connectPlain(fixture.port, '127.0.0.1')
    const dripping = connectPlain(fixture.port, '127.0.0.1')
    for (const socket of [silent, dripping]) socket.on('error', () => {})
    // The head of a ClientHello of 508 bytes, and then a byte at a time.
    dripping.write(Buffer.from('16030101fc010001f80303', 'hex'))
    const drip = setInterval(() => dripping.write(Buffer.of(7)), 30)
    onTestFinished(() => clearInterval(drip))
    await Promise.all([readAll(silent), readAll(dripping)])
    expect((await fixture.get('/healthz')).status).toBe(200)
  })

  test('stops while a handshake hangs', async () => {
    const fixture = await started({ 'headers-timeout-seconds': '600' })
    const hanging = connectPlain(fixture.port, '127.0.0.1')
    hanging.on('error', () => {})
    await once(hanging, 'connect')
    // Once this one is answered, the one before has been accepted.
    await fixture.get('/healthz')
    await fixture.server.close()
    await readAll(hanging)
  })
})

test('commands trust a private authority that they are told of, and no other', async () => {
  const fixture = await started()
  const { verifierKey } = fixture.server.logs.get('main')!
  const main = fileURLToPath(new URL('../../dist/cli/bin.cjs', import.meta.url))
  const args = [main, 'checkpoint', '--url', `${fixture.server.url}/logs/main`, '--key', verifierKey]
  const run = (env: Record<string, string>): Promise<number | null> =>
    new Promise((resolve) => {
      const child = spawn(process.execPath, args, { env: { ...process.env, ...env }, stdio: 'ignore' })
      child.once('close', resolve)
    })
  expect(await run({})).toBe(20)
  expect(await run({ NODE_EXTRA_CA_CERTS: fixture.files.cert })).toBe(0)
})

describe('a reload', () => {
  test('shows the new certificate to new connections, keeps old ones, and leaves a trace', async () => {
    const fixture = await started()
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    onTestFinished(() => agent.destroy())
    const before = await fixture.get('/healthz', agent)
    const notAfterMs = Math.ceil(Date.now() / 1000) * 1000 + 60 * DAY_MS
    const fingerprint = fixture.write(selfSigned({ notAfterMs }))
    await fixture.server.reloadTls!()
    const kept = await fixture.get('/healthz', agent)
    expect(kept.socket).toBe(before.socket)
    expect(kept.status).toBe(200)
    expect(before.fingerprint).not.toBe(fingerprint)
    expect((await fixture.get('/healthz')).fingerprint).toBe(fingerprint)
    const told = { fingerprint, notAfter: new Date(notAfterMs).toISOString() }
    expect(fixture.lines).toContainEqual(expect.objectContaining({ level: 30, ...told }))
    await expect.poll(() => fixture.events('tls_reloaded')).toMatchObject([{ kind: 'event', details: told }])
  })

  test('keeps the protocols and ciphers that it began with', async () => {
    const fixture = await started()
    await fixture.server.reloadTls!()
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
    await expect(fixture.connect(old)).rejects.toThrow()
    await expect(fixture.connect({ maxVersion: 'TLSv1.2', ciphers: 'AES128-GCM-SHA256' })).rejects.toThrow()
  })

  const spoilt: readonly [what: string, code: string, spoil: (fixture: TlsFixture) => void][] = [
    ['is no PEM', 'malformed', ({ files }) => writeFileSync(files.cert, 'rubbish')],
    ['has the key of another', 'wrong_key', ({ files }) => writeFileSync(files.key, selfSigned().key)],
    ['has a key that others can read', 'key_permissions', ({ files }) => chmodSync(files.key, 0o640)],
    ['has expired', 'malformed', (fixture) => fixture.write(selfSigned({ notAfterMs: Date.now() - 1000 }))],
    [
      'is not valid yet',
      'malformed',
      (fixture) => fixture.write(selfSigned({ notBeforeMs: Date.now() + DAY_MS })),
    ],
  ]
  test.each(spoilt)('keeps the old one when the new one %s, and says so loudly', async (_, code, spoil) => {
    const fixture = await started()
    const { fingerprint } = await fixture.get('/healthz')
    spoil(fixture)
    await fixture.server.reloadTls!()
    expect((await fixture.get('/healthz')).fingerprint).toBe(fingerprint)
    expect(fixture.lines).toContainEqual(expect.objectContaining({ level: 50, code }))
    await expect
      .poll(() => fixture.events('tls_reload_failed'))
      .toMatchObject([{ details: { code, kept: { fingerprint } } }])
    const [{ details } = {}] = await fixture.events('tls_reload_failed')
    expect(JSON.stringify(details)).not.toContain(fixture.folder)
  })

  test('comes with SIGHUP, to a process that serves on', async () => {
    const fixture = await new TlsFixture().init()
    const flags = Object.entries(fixture.flags)
      .filter(([name]) => name.startsWith('tls-'))
      .map(([name, value]) => `--${name}=${value}`)
    const server = new ServerProcess(fixture.data, { flags })
    const url = await server.url
    fixture.server = { url } as RunningServer
    expect((await fixture.get('/healthz')).status).toBe(200)
    const fingerprint = fixture.write(selfSigned())
    server.signal('SIGHUP')
    await expect.poll(() => server.output).toContain('the certificate was read again')
    expect((await fixture.get('/healthz')).fingerprint).toBe(fingerprint)
    expect(await server.stop()).toEqual({ code: 0, signal: null })
  })
})

describe('what is not served', () => {
  test.each([
    ['no file', 'io_error', { 'tls-cert': '/nowhere/cert.pem' }],
    ['no key', 'key_missing', { 'tls-key': '/nowhere/key.pem' }],
  ])('%s', async (_, code, flags) => {
    const fixture = await new TlsFixture().init()
    await expect(fixture.start(flags)).rejects.toMatchObject({ code })
  })

  test("a key that others can read, one that is not the certificate's, and one that is none", async () => {
    const fixture = await new TlsFixture().init()
    chmodSync(fixture.files.key, 0o604)
    await expect(fixture.start()).rejects.toMatchObject({ code: 'key_permissions' })
    chmodSync(fixture.files.key, 0o600)
    writeFileSync(fixture.files.key, selfSigned().key)
    await expect(fixture.start()).rejects.toMatchObject({ code: 'wrong_key' })
    writeFileSync(fixture.files.key, 'a secret that is no key')
    await expect(fixture.start()).rejects.toMatchObject({ code: 'malformed' })
    await expect(fixture.start()).rejects.not.toThrow(/a secret/)
  })

  test('one file without the other', () => {
    for (const name of ['tls-cert', 'tls-key']) {
      expect(() => loadConfig({ flags: { [name]: 'x.pem' } })).toThrow(/both of tls-cert and tls-key/)
    }
  })

  test('though one that has expired is, with an error in the log', async () => {
    const fixture = await new TlsFixture().init({ notAfterMs: Date.now() - 1000 })
    await fixture.start()
    expect(fixture.lines).toContainEqual(
      expect.objectContaining({ level: 50, msg: expect.stringContaining('has expired') as string }),
    )
    const socket = await fixture.connect({ rejectUnauthorized: false })
    expect(socket.authorizationError).toBe('CERT_HAS_EXPIRED')
  })
})

test('how long the certificate lasts is a metric', async () => {
  const fixture = await started({ 'open-metrics': 'true' })
  const read = async (): Promise<number> => {
    const { text } = await fixture.get('/metrics')
    return Number(/^stele_tls_certificate_not_after_seconds (.*)$/m.exec(text)![1])
  }
  const inDays = async (): Promise<number> => Math.round(((await read()) - Date.now() / 1000) / 86_400)
  expect(await inDays()).toBe(30)
  fixture.write(selfSigned({ notAfterMs: Date.now() + 90 * DAY_MS }))
  await fixture.server.reloadTls!()
  expect(await inDays()).toBe(90)
})

/** What comes until the other side closes. */
function readAll(socket: Socket): Promise<string> {
  let text = ''
  return new Promise((resolve) => {
    socket.on('data', (chunk) => (text += chunk.toString('latin1')))
    socket.once('close', () => resolve(text))
  })
}
