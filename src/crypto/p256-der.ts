/**
 * The one DER spelling of a P-256 key or signature that is accepted, on every platform: decoders differ in what
 * else they let through, and a signature must not have two verdicts. Both implementations read through here.
 */
import { compareBytes, concatBytes } from '../bytes/bytes.ts'
import { parseHex } from '../bytes/hex.ts'

// SubjectPublicKeyInfo of id-ecPublicKey on prime256v1 (RFC 5480), up to the uncompressed point.
const SPKI_PREFIX = parseHex('3059301306072a8648ce3d020106082a8648ce3d030107034200', 'SPKI prefix')
// PKCS #8 around an ECPrivateKey (RFC 5915), up to the scalar, and from there to the point: what OpenSSL and
// WebCrypto write.
const PKCS8_PREFIX = parseHex(
  '308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420',
  'PKCS #8 prefix',
)
const PKCS8_MIDDLE = parseHex('a144034200', 'PKCS #8 middle')
const SCALAR_BYTES = 32
const POINT_BYTES = 65
const UNCOMPRESSED = 0x04

const SEQUENCE = 0x30
const INTEGER = 0x02

const ORDER = parseHex('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'order')

/** The 65 bytes of the point in a SubjectPublicKeyInfo; nothing if it has another form. The curve is not checked. */
export function pointOfSpki(spki: Uint8Array): Uint8Array | undefined {
  const point = spki.subarray(SPKI_PREFIX.length)
  return startsWith(spki, SPKI_PREFIX) && isPoint(point) ? point : undefined
}

/** Inverse of {@link pointOfSpki}. */
export function spkiOfPoint(point: Uint8Array): Uint8Array {
  return concatBytes(SPKI_PREFIX, point)
}

/** What a PKCS #8 key says, unchecked: whether the point belongs to the scalar is for the caller to find out. */
export interface PrivateKeyParts {
  /** 32 bytes, big-endian. */
  readonly scalar: Uint8Array
  /** 65 bytes, uncompressed. */
  readonly point: Uint8Array
}

/** Reads PKCS #8; nothing if it has another form than the one of OpenSSL and WebCrypto. */
export function parsePkcs8(pkcs8: Uint8Array): PrivateKeyParts | undefined {
  const scalar = pkcs8.slice(PKCS8_PREFIX.length, PKCS8_PREFIX.length + SCALAR_BYTES)
  const rest = pkcs8.subarray(PKCS8_PREFIX.length + SCALAR_BYTES)
  const point = rest.slice(PKCS8_MIDDLE.length)
  const wellFormed = startsWith(pkcs8, PKCS8_PREFIX) && startsWith(rest, PKCS8_MIDDLE) && isPoint(point)
  return wellFormed ? { scalar, point } : undefined
}

/** Inverse of {@link parsePkcs8}. */
export function formatPkcs8({ scalar, point }: PrivateKeyParts): Uint8Array {
  return concatBytes(PKCS8_PREFIX, scalar, PKCS8_MIDDLE, point)
}

/**
 * Reads an ECDSA-Sig-Value (RFC 3279 section 2.2.3), minimal lengths and integers only. A high S is let through:
 * RFC 6962 does not forbid it and logs produce it.
 *
 * @returns r and s, 32 bytes each, both from 1 to the group order less one; nothing for any other input
 */
export function parseSignature(der: Uint8Array): Uint8Array | undefined {
  // Two integers of at most 33 bytes fit into the short form of a length.
  if (der[0] !== SEQUENCE || der[1] !== der.length - 2) return undefined
  const rEnd = 4 + (der[3] ?? 0)
  const r = parseInteger(der.subarray(2, rEnd))
  const s = parseInteger(der.subarray(rEnd))
  return r && s && concatBytes(r, s)
}

function parseInteger(der: Uint8Array): Uint8Array | undefined {
  const value = der.subarray(2)
  if (der[0] !== INTEGER || der[1] !== value.length || value.length === 0) return undefined
  const [first = 0, second = 0] = value
  const negative = first >= 0x80
  // A leading zero is only there to keep the next bit from being read as a sign.
  const padded = first === 0 && value.length > 1
  if (negative || (padded && second < 0x80)) return undefined
  const digits = value.subarray(padded ? 1 : 0)
  if (digits.length > SCALAR_BYTES) return undefined
  const scalar = new Uint8Array(SCALAR_BYTES)
  scalar.set(digits, SCALAR_BYTES - digits.length)
  const inRange = scalar.some((byte) => byte !== 0) && compareBytes(scalar, ORDER) < 0
  return inRange ? scalar : undefined
}

function isPoint(bytes: Uint8Array): boolean {
  return bytes.length === POINT_BYTES && bytes[0] === UNCOMPRESSED
}

function startsWith(bytes: Uint8Array, prefix: Uint8Array): boolean {
  return compareBytes(bytes.subarray(0, prefix.length), prefix) === 0
}
