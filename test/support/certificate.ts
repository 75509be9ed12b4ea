import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { isIP } from 'node:net'

/** A certificate and its key, as PEM texts. */
export interface TestCertificate {
  readonly cert: string
  readonly key: string
}

export interface CertificateOptions {
  /** DNS names and IPv4 addresses. */
  readonly names?: readonly string[]
  readonly notBeforeMs?: number
  readonly notAfterMs?: number
}

const DAY_MS = 86_400_000

/** A certificate that signs itself (RFC 5280), with a fresh P-256 key. */
export function selfSigned({
  names = ['127.0.0.1', 'localhost'],
  notBeforeMs = Date.now() - DAY_MS,
  notAfterMs = Date.now() + 30 * DAY_MS,
}: CertificateOptions = {}): TestCertificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  // A name of its own: whoever trusts two of them tells them apart by it.
  const name = sequence(
    der(0x31, sequence(COMMON_NAME, der(0x0c, Buffer.from(`Stele test ${randomBytes(6).toString('hex')}`)))),
  )
  const others = der(0x04, sequence(...names.map(alternativeName)))
  const toSign = sequence(
    der(0xa0, integer(2)),
    der(0x02, Buffer.concat([Buffer.of(1), randomBytes(15)])),
    ECDSA_SHA256,
    name,
    sequence(time(notBeforeMs), time(notAfterMs)),
    name,
    publicKey.export({ format: 'der', type: 'spki' }),
    der(0xa3, sequence(sequence(SUBJECT_ALT_NAME, others))),
  )
  const signature = sign('sha256', toSign, privateKey)
  const bytes = sequence(toSign, ECDSA_SHA256, der(0x03, Buffer.concat([Buffer.of(0), signature])))
  return { cert: pem('CERTIFICATE', bytes), key: String(privateKey.export({ format: 'pem', type: 'pkcs8' })) }
}

function der(tag: number, content: Uint8Array): Buffer {
  const size = content.length
  const length = size < 128 ? [size] : size < 256 ? [0x81, size] : [0x82, Math.floor(size / 256), size % 256]
  return Buffer.concat([Buffer.of(tag, ...length), content])
}

function sequence(...parts: Uint8Array[]): Buffer {
  return der(0x30, Buffer.concat(parts))
}

function integer(value: number): Buffer {
  return der(0x02, Buffer.of(value))
}

const hex = (text: string): Buffer => Buffer.from(text, 'hex')
const COMMON_NAME = hex('0603550403')
const SUBJECT_ALT_NAME = hex('0603551d11')
const ECDSA_SHA256 = sequence(hex('06082a8648ce3d040302'))

function alternativeName(name: string): Buffer {
  return isIP(name) === 4 ? der(0x87, Buffer.from(name.split('.').map(Number))) : der(0x82, Buffer.from(name))
}

/** GeneralizedTime: the year has four digits. */
function time(atMs: number): Buffer {
  return der(0x18, Buffer.from(`${new Date(atMs).toISOString().replaceAll(/[-:T]|\..*/g, '')}Z`))
}

function pem(what: string, bytes: Uint8Array): string {
  const lines = Buffer.from(bytes)
    .toString('base64')
    .match(/.{1,64}/g)!
  return [`-----BEGIN ${what}-----`, ...lines, `-----END ${what}-----`, ''].join('\n')
}
