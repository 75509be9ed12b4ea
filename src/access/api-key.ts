import { hash, randomBytes, timingSafeEqual } from 'node:crypto'
import { SteleError } from '../errors.ts'
import { ROLES, type Role } from './role.ts'

/** The parts of an API key. Only `text` contains the secret. */
export interface ApiKey {
  readonly role: Role
  /** Identifies the key in lists, logs and commands, where the secret must not appear. */
  readonly id: string
  /** The whole key, as its holder sends it. Secret. */
  readonly text: string
}

/**
 * RFC 4648 section 6 in lower case: no letter that looks like a digit, and no character that a shell or URL would
 * change.
 */
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567'
/** 80 bits: two keys never have the same id. */
const ID_LETTERS = 16
/** 260 bits cannot be guessed, so a plain hash is stored and no slow one is needed. */
const SECRET_LETTERS = 52
/** 30 bits of SHA-256 distinguish a mistyped key from an unknown one without a look-up. */
const CHECK_LETTERS = 6

const FORM = new RegExp(
  `^st_(${ROLES.join('|')})_([a-z2-7]{${ID_LETTERS}})_([a-z2-7]{${SECRET_LETTERS}})_([a-z2-7]{${CHECK_LETTERS}})$`,
)

/** Finds an API key in any text: for leak scanners, and for removing keys from logs. */
export const API_KEY_PATTERN = /st_[a-z]+_[a-z2-7]{16}_[a-z2-7]{52}_[a-z2-7]{6}/

/** A new key: `st_<role>_<id>_<secret>_<checksum>`. */
export function generateApiKey(role: Role): ApiKey {
  const id = randomLetters(ID_LETTERS)
  const body = `st_${role}_${id}_${randomLetters(SECRET_LETTERS)}`
  return { role, id, text: `${body}_${checksum(body)}` }
}

/**
 * Parses a key. A well-formed key may still be invalid.
 *
 * @throws SteleError `unauthenticated`; the message never quotes the input
 */
export function parseApiKey(text: string): ApiKey {
  const [, role, id] = FORM.exec(text) ?? []
  if (role === undefined || id === undefined) {
    throw new SteleError(
      'unauthenticated',
      'API key: expected st_<role>_<id>_<secret>_<checksum>, as "stele key create" printed it',
    )
  }
  if (!hasRightChecksum(text)) {
    throw new SteleError('unauthenticated', 'API key: its checksum is wrong, so it was mistyped or cut short')
  }
  return { role: role as Role, id, text }
}

/** The stored hash of a key: SHA-256 of its text, in hex. */
export function hashOfKey({ text }: ApiKey): string {
  return hash('sha256', text, 'hex')
}

/** A parsed key: enough to check its validity, and nothing secret. */
export interface ReadKey {
  readonly role: Role
  readonly id: string
  /** SHA-256 of its text. */
  readonly digest: Uint8Array
}

/**
 * Parses keys, and caches the last key of each connection: clients send the same one with every request. The cache
 * holds the parsed form, never the validity. The comparison takes constant time, because one connection of a proxy
 * carries requests of many callers.
 */
export class KeyReader {
  readonly #last = new WeakMap<object, { readonly text: Uint8Array; readonly key: ReadKey }>()

  /** @throws SteleError as {@link parseApiKey} */
  read(text: string, connection: object): ReadKey {
    const came = Buffer.from(text, 'latin1')
    const last = this.#last.get(connection)
    if (last && last.text.length === came.length && timingSafeEqual(last.text, came)) return last.key
    const { role, id } = parseApiKey(text)
    const key = { role, id, digest: hash('sha256', text, 'buffer') }
    this.#last.set(connection, { text: Uint8Array.from(came), key })
    return key
  }
}

function checksum(body: string): string {
  // A latin1 string: making a Buffer for it would cost more than hashing, at every request.
  const digest = hash('sha256', body, 'binary')
  let letters = ''
  for (let i = 0; i < CHECK_LETTERS; i++) letters += ALPHABET[digest.charCodeAt(i) % 32]
  return letters
}

/** Five bits of each byte. */
function randomLetters(count: number): string {
  return Array.from(randomBytes(count), (byte) => ALPHABET[byte % 32]).join('')
}

/**
 * The id that credentials claim, valid or not: for the audit trail, which must not contain the secret. Only a complete
 * key with the right checksum claims one.
 */
export function claimedId(authorization: string | undefined): string | undefined {
  const [, text = ''] = /^Bearer +(\S+) *$/i.exec(authorization ?? '') ?? []
  const [, , id] = FORM.exec(text) ?? []
  return id !== undefined && hasRightChecksum(text) ? id : undefined
}

/** @param text of the form of a key */
function hasRightChecksum(text: string): boolean {
  return text.endsWith(`_${checksum(text.slice(0, -CHECK_LETTERS - 1))}`)
}
