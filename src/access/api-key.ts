import { hash, randomBytes, timingSafeEqual } from 'node:crypto'
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
  const id = randomLetters(ID_LETTERS)
  const body = `st_${role}_${id}_${randomLetters(SECRET_LETTERS)}`
  return { role, id, text: `${body}_${checksum(body)}` }
}

/**
 * Reads a key. That it has the right form says nothing about whether it is valid.
 *
 * @throws SteleError `unauthenticated`; the message never quotes what came
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

/** What is stored of a key: SHA-256 of its text, in hex. */
export function hashOfKey({ text }: ApiKey): string {
  return hash('sha256', text, 'hex')
}

/** A key as it came: all that is needed to find out whether it is valid, and nothing secret. */
export interface ReadKey {
  readonly role: Role
  readonly id: string
  /** SHA-256 of its text. */
  readonly digest: Uint8Array
}

/**
 * Reads keys, and remembers for each connection the last one that came: clients send the same one with every request.
 * What is remembered is how it reads, never whether it is valid. It is compared in the same time wherever it differs, for
 * behind a proxy the requests of many come by one connection.
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
  // A text of a character for each byte: making a Buffer for it would cost more than hashing, at every request.
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
 * The id that credentials claim, whether or not they are valid: for traces, which must never hold the secret. Only a whole
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
