import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { SteleError } from '../errors.ts'
import { ROLES, type Role } from './role.ts'

/** An API key taken apart. Its secret is in `text` alone. */
export interface ApiKey {
  readonly role: Role
  /** Names the key where its secret must not stand: in lists, logs and commands. */
  readonly id: string
  /** The whole key, as its holder sends it. Secret. */
  readonly text: string
}

/** RFC 4648 section 6 in lower case: no letter that looks like a digit, nothing that a shell or a URL would change. */
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567'
/** 80 bits: two keys never have one id. */
const ID_LETTERS = 16
/** 260 bits: nobody guesses one, so that a plain hash of it can be stored and no slow one is needed. */
const SECRET_LETTERS = 52
/** 30 bits of SHA-256: a mistyped key is told from an unknown one without a look-up. */
const CHECK_LETTERS = 6

const FORM = new RegExp(
  `^st_(${ROLES.join('|')})_([a-z2-7]{${ID_LETTERS}})_([a-z2-7]{${SECRET_LETTERS}})_([a-z2-7]{${CHECK_LETTERS}})$`,
)

/** What finds an API key in any text: for leak scanners, and for whatever writes logs. */
export const API_KEY_PATTERN = /st_[a-z]+_[a-z2-7]{16}_[a-z2-7]{52}_[a-z2-7]{6}/

/** A fresh key: `st_<role>_<id>_<secret>_<checksum>`. */
export function generateApiKey(role: Role): ApiKey {
  const id = letters(ID_LETTERS)
  const body = `st_${role}_${id}_${letters(SECRET_LETTERS)}`
  return { role, id, text: `${body}_${checksum(body)}` }
}

/**
 * Reads a key. That it has the right form says nothing about whether it is valid.
 *
 * @throws SteleError `unauthenticated`; the message never quotes what came
 */
export function parseApiKey(text: string): ApiKey {
  const [, role, id, , check] = FORM.exec(text) ?? []
  if (role === undefined || id === undefined) {
    throw new SteleError(
      'unauthenticated',
      'API key: expected st_<role>_<id>_<secret>_<checksum>, as "stele key create" printed it',
    )
  }
  if (check !== checksum(text.slice(0, -CHECK_LETTERS - 1))) {
    throw new SteleError('unauthenticated', 'API key: its checksum is wrong, so it was mistyped or cut short')
  }
  return { role: role as Role, id, text }
}

/** What is stored of a key: SHA-256 of its text, in hex. */
export function hashOfKey({ text }: ApiKey): string {
  return createHash('sha256').update(text).digest('hex')
}

/** Compares a key with a stored hash, in the same time wherever they differ. */
export function isKeyOfHash(key: ApiKey, hash: string): boolean {
  const stored = Buffer.from(hash, 'hex')
  const came = createHash('sha256').update(key.text).digest()
  return stored.length === came.length && timingSafeEqual(stored, came)
}

function checksum(body: string): string {
  return spell(createHash('sha256').update(body).digest(), CHECK_LETTERS)
}

function letters(count: number): string {
  return spell(randomBytes(count), count)
}

/** Five bits of each byte. */
function spell(bytes: Uint8Array, count: number): string {
  return Array.from(bytes.subarray(0, count), (byte) => ALPHABET[byte % 32]).join('')
}

/** The id that credentials claim, whether or not they are valid: for traces, which must never hold the secret. */
export function parseLeadingId(authorization: string | undefined): string | undefined {
  return /^Bearer +st_[a-z]+_([a-z2-7]{16})_/i.exec(authorization ?? '')?.[1]
}
