import { toBase64 } from '../bytes/base64.ts'
import { encodeUtf8 } from '../bytes/text.ts'
import { hasCode, SteleError } from '../errors.ts'
import { isCosignerKeyType, isLogKeyType, type KeyType } from '../note/key-id.ts'
import { parseVerifierKey } from '../note/key.ts'
import type { VerifierKey } from '../note/note.ts'
import { decodeItem, showItem } from './octets.ts'
import {
  MAX_DEFINITIONS,
  MAX_POLICY_BYTES,
  NO_QUORUM,
  type Policy,
  type PolicyGroup,
  type PolicyLog,
  type PolicyWitness,
} from './policy.ts'

/**
 * Reads a policy (c2sp.org/tlog-policy), from its octets or from text, and takes nothing that is not in the
 * specification: no comment behind other items, no CR, no name before its definition, no key or member twice. Beyond it, a
 * URL must have a scheme, and a threshold no leading zero.
 *
 * @throws SteleError `malformed` with the number of the first line that is wrong, what was expected there and what came;
 *   `too_large`
 */
export function parsePolicy(policy: string | Uint8Array): Policy {
  const draft = new Draft()
  for (const line of splitPolicy(typeof policy === 'string' ? encodeUtf8(policy) : policy)) draft.read(line)
  return draft.finish()
}

/** A policy as far as it has been read. */
class Draft {
  readonly #logs: PolicyLog[] = []
  readonly #witnesses: PolicyWitness[] = []
  readonly #groups: PolicyGroup[] = []
  #quorum: { readonly name: string; readonly line: number } | undefined
  /** The line of each definition, by name, by member, and by public key; for logs and for witnesses apart. */
  readonly #named = new Map<string, number>()
  readonly #members = new Map<string, number>()
  readonly #logKeys = new Map<string, number>()
  readonly #witnessKeys = new Map<string, number>()

  read(line: PolicyLine): void {
    switch (line.keyword) {
      case 'log':
        return this.#readLog(line)
      case 'witness':
        return this.#readWitness(line)
      case 'group':
        return this.#readGroup(line)
      case 'quorum':
        return this.#readQuorum(line)
      default:
        throw faultAt(
          line.number,
          `expected "log", "witness", "group" or "quorum", got ${showItem(line.keyword)}`,
        )
    }
  }

  finish(): Policy {
    if (this.#quorum === undefined) {
      throw new SteleError('malformed', 'policy: expected a "quorum" line, got to the end without one')
    }
    const [logs, witnesses, groups] = [this.#logs, this.#witnesses, this.#groups]
    return { logs, witnesses, groups, quorum: this.#quorum.name }
  }

  #readLog(line: PolicyLine): void {
    const [vkey, url] = take(line, 'log <vkey> [<url>]', 1, 2)
    const key = readKey(line, vkey!, isLogKeyType, 'a log (0x01, 0x02, 0x05 or 0x06)')
    claim(this.#logKeys, toBase64(key.publicKey), line, `the public key of log ${showItem(key.name)}`)
    add(this.#logs, { key, ...readUrl(line, url) }, line)
  }

  #readWitness(line: PolicyLine): void {
    const [name, vkey, url] = take(line, 'witness <name> <vkey> [<url>]', 2, 3)
    const key = readKey(line, vkey!, isCosignerKeyType, 'a witness (0x04 or 0x06)')
    this.#define(name!, line)
    claim(this.#witnessKeys, toBase64(key.publicKey), line, `the public key of witness ${showItem(name!)}`)
    add(this.#witnesses, { name: name!, key, ...readUrl(line, url) }, line)
  }

  #readGroup(line: PolicyLine): void {
    const [name, threshold, ...members] = take(line, 'group <name> <k|any|all> <member>...', 3, Infinity)
    for (const member of members) {
      this.#checkDefined(member, line)
      claim(this.#members, member, line, `${showItem(member)} as a member`)
    }
    // After its members, so that a group cannot be one of its own.
    this.#define(name!, line)
    add(
      this.#groups,
      { name: name!, threshold: readThreshold(line, threshold!, members.length), members },
      line,
    )
  }

  #readQuorum(line: PolicyLine): void {
    const [name] = take(line, 'quorum <name|none>', 1, 1)
    if (this.#quorum !== undefined) {
      throw faultAt(
        line.number,
        `expected one quorum, got another after the one on line ${this.#quorum.line}`,
      )
    }
    if (name !== NO_QUORUM) this.#checkDefined(name!, line)
    this.#quorum = { name: name!, line: line.number }
  }

  #define(name: string, line: PolicyLine): void {
    if (name === NO_QUORUM) throw faultAt(line.number, `expected a name other than "none", which is reserved`)
    claim(this.#named, name, line, `the name ${showItem(name)}`)
  }

  #checkDefined(name: string, line: PolicyLine): void {
    if (this.#named.has(name)) return
    throw faultAt(
      line.number,
      `expected a witness or group defined on an earlier line, got ${showItem(name)}`,
    )
  }
}

/** Notes that this line uses something that may be used once. */
function claim(used: Map<string, number>, what: string, line: PolicyLine, shown: string): void {
  const earlier = used.get(what)
  if (earlier !== undefined) {
    throw faultAt(line.number, `expected ${shown} once, got it again after line ${earlier}`)
  }
  used.set(what, line.number)
}

function add<T>(definitions: T[], definition: T, line: PolicyLine): void {
  if (definitions.length === MAX_DEFINITIONS) {
    throw faultAt(line.number, `expected at most ${MAX_DEFINITIONS} "${line.keyword}" lines, got another`)
  }
  definitions.push(definition)
}

function take(line: PolicyLine, form: string, least: number, most: number): readonly string[] {
  const count = line.items.length
  if (count >= least && count <= most) return line.items
  const comment = line.items.find((item) => item.startsWith('#'))
  const got =
    count > most && comment !== undefined
      ? `${showItem(comment)} too: a comment needs a line of its own`
      : `${count} item${count === 1 ? '' : 's'} behind "${line.keyword}"`
  throw faultAt(line.number, `expected "${form}", got ${got}`)
}

function readKey(
  line: PolicyLine,
  vkey: string,
  isOfType: (type: KeyType) => boolean,
  who: string,
): VerifierKey {
  const key = parseKey(line, vkey)
  if (isOfType(key.type)) return key
  const type = `0x${key.type.toString(16).padStart(2, '0')}`
  const instead = isLogKeyType(key.type) ? '' : ': the key of a witness belongs on a "witness" line'
  throw faultAt(line.number, `expected a key of a type for ${who}, got one of type ${type}${instead}`)
}

function parseKey(line: PolicyLine, vkey: string): VerifierKey {
  try {
    return parseVerifierKey(vkey)
  } catch (error) {
    if (hasCode(error, 'malformed')) throw faultAt(line.number, error.message, error)
    throw error
  }
}

function readUrl(line: PolicyLine, url: string | undefined): { url?: string } {
  if (url === undefined) return {}
  // Little is asked of it, since its meaning is the application's; but "#comment" must not pass for one.
  if (/^[a-z][a-z0-9+.-]*:\/\/./i.test(url)) return { url }
  throw faultAt(line.number, `expected a URL with its scheme, as in "https://...", got ${showItem(url)}`)
}

function readThreshold(line: PolicyLine, text: string, count: number): number {
  if (text === 'any') return 1
  if (text === 'all') return count
  const threshold = /^[1-9][0-9]*$/.test(text) ? Number(text) : 0
  if (threshold >= 1 && threshold <= count) return threshold
  throw faultAt(line.number, `expected "any", "all" or a number from 1 to ${count}, got ${showItem(text)}`)
}

/** A line of a policy that says something: neither empty nor a comment. */
interface PolicyLine {
  /** From 1, for messages. */
  readonly number: number
  readonly keyword: string
  /** What follows the keyword. */
  readonly items: readonly string[]
}

const TAB = 0x09
const LF = 0x0a
const SPACE = 0x20
const HASH = 0x23
const DEL = 0x7f

/**
 * Cuts a policy into lines and items, one at a time, so that the first fault to be found is the first in the file.
 *
 * @throws SteleError `malformed` for an octet that has no place in a policy, and a last line without its LF; `too_large`
 */
function* splitPolicy(octets: Uint8Array): Generator<PolicyLine> {
  if (octets.length > MAX_POLICY_BYTES) {
    throw new SteleError(
      'too_large',
      `policy: expected at most ${MAX_POLICY_BYTES} bytes, got ${octets.length}`,
    )
  }
  let begin = 0
  for (let number = 1; begin < octets.length; number++) {
    const end = octets.indexOf(LF, begin)
    if (end < 0) throw faultAt(number, 'expected a line feed at the end, got the end of the file')
    const [keyword, ...items] = itemsOf(octets.subarray(begin, end), number)
    if (keyword !== undefined) yield { number, keyword, items }
    begin = end + 1
  }
}

/** A mistake in a policy, with its place. */
function faultAt(line: number, message: string, cause?: unknown): SteleError {
  return new SteleError('malformed', `policy line ${line}: ${message}`, cause === undefined ? {} : { cause })
}

/** Nothing for a comment: it stands on a line of its own, so that `#` means nothing further on. */
function itemsOf(line: Uint8Array, number: number): string[] {
  const bad = line.find((octet) => (octet < SPACE && octet !== TAB) || octet === DEL)
  if (bad !== undefined) {
    const hint = bad === 0x0d ? ' (lines end in a line feed alone)' : ''
    const got = `0x${bad.toString(16).padStart(2, '0')}${hint}`
    throw faultAt(number, `expected no control character but tab, got ${got}`)
  }
  const items: string[] = []
  for (let at = 0; at < line.length; at++) {
    const begin = at
    while (at < line.length && line[at] !== SPACE && line[at] !== TAB) at++
    if (at > begin && items.length === 0 && line[begin] === HASH) return []
    if (at > begin) items.push(decodeItem(line.subarray(begin, at)))
  }
  return items
}
