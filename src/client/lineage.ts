import { decodeUtf8, encodeUtf8 } from '../bytes/text.ts'
import { SteleError } from '../errors.ts'

/** The last entry of a log that rolled over: where it goes on. */
export interface SuccessorEntry {
  /** Of the log that ends. */
  readonly origin: string
  readonly successor: {
    readonly origin: string
    readonly verifierKeys: readonly string[]
    readonly url: string
  }
}

/** The first entry of its successor: what came before. */
export interface PredecessorEntry {
  /** Of the log that begins. */
  readonly origin: string
  readonly predecessor: {
    readonly origin: string
    readonly verifierKeys: readonly string[]
    /** With its last entry. */
    readonly treeSize: number
    /** At that size, 64 hex digits. */
    readonly rootHash: string
  }
}

/** One log that ended and one that began, as they were verified. */
export interface Succession {
  readonly old: {
    readonly origin: string
    /** All that it ever had. */
    readonly verifierKeys: readonly string[]
    readonly treeSize: number
    readonly rootHash: string
    readonly lastEntry: Uint8Array
  }
  readonly next: {
    readonly origin: string
    readonly verifierKeys: readonly string[]
    readonly firstEntry: Uint8Array
  }
}

const SUCCESSOR = 'stele-log-successor/v1'
const PREDECESSOR = 'stele-log-predecessor/v1'

/** The start of such an entry. Every entry of a log is compared with it, and only matching ones are parsed as JSON. */
const beginOf = (type: string): Uint8Array => encodeUtf8(`{"type":"${type}","origin":`)
const SUCCESSOR_BEGIN = beginOf(SUCCESSOR)
const PREDECESSOR_BEGIN = beginOf(PREDECESSOR)

/** The last entry: JSON without white space, its fields in this order. `proto-docs/log-life.md` has an example. */
export function formatSuccessorEntry({ origin, successor }: SuccessorEntry): Uint8Array {
  const { origin: next, verifierKeys, url } = successor
  return encodeUtf8(
    JSON.stringify({ type: SUCCESSOR, origin, successor: { origin: next, verifierKeys, url } }),
  )
}

/** The first entry, likewise. */
export function formatPredecessorEntry({ origin, predecessor }: PredecessorEntry): Uint8Array {
  const { origin: old, verifierKeys, treeSize, rootHash } = predecessor
  const fields = { origin: old, verifierKeys, treeSize, rootHash }
  return encodeUtf8(JSON.stringify({ type: PREDECESSOR, origin, predecessor: fields }))
}

/** What an entry says, or undefined for an entry that is no such statement, byte for byte. */
export function parseSuccessorEntry(entry: Uint8Array): SuccessorEntry | undefined {
  return parsed<SuccessorEntry>(entry, SUCCESSOR_BEGIN, formatSuccessorEntry, ({ origin, successor }) => {
    return (
      isText(origin) && isText(successor.origin) && isText(successor.url) && isTexts(successor.verifierKeys)
    )
  })
}

/** What an entry says, or undefined for an entry that is no such statement, byte for byte. */
export function parsePredecessorEntry(entry: Uint8Array): PredecessorEntry | undefined {
  return parsed<PredecessorEntry>(
    entry,
    PREDECESSOR_BEGIN,
    formatPredecessorEntry,
    ({ origin, predecessor }) => {
      const { origin: old, verifierKeys, treeSize, rootHash } = predecessor
      return (
        isText(origin) &&
        isText(old) &&
        isTexts(verifierKeys) &&
        Number.isSafeInteger(treeSize) &&
        /^[0-9a-f]{64}$/.test(rootHash)
      )
    },
  )
}

/**
 * Checks that two logs name each other: the last entry of the old one and the first entry of the new one. The caller
 * must have verified that the entries are at these places.
 *
 * @throws SteleError `bad_proof` with the first contradiction
 */
export function verifySuccession({ old, next }: Succession): void {
  const last = parseSuccessorEntry(old.lastEntry)
  const first = parsePredecessorEntry(next.firstEntry)
  if (!last) throw unfit(old.origin, 'its last entry names no successor')
  if (!first) throw unfit(next.origin, 'its first entry names no predecessor')
  expectSame(old.origin, 'its last entry is of', old.origin, last.origin)
  expectSame(old.origin, 'its last entry names the successor', next.origin, last.successor.origin)
  expectKeys(old.origin, last.successor.verifierKeys, next.verifierKeys)
  expectSame(next.origin, 'its first entry is of', next.origin, first.origin)
  expectSame(next.origin, 'its first entry names the predecessor', old.origin, first.predecessor.origin)
  expectKeys(next.origin, first.predecessor.verifierKeys, old.verifierKeys)
  expectSame(next.origin, 'its first entry names the size', old.treeSize, first.predecessor.treeSize)
  expectSame(next.origin, 'its first entry names the root hash', old.rootHash, first.predecessor.rootHash)
}

function parsed<T>(
  entry: Uint8Array,
  begin: Uint8Array,
  format: (value: T) => Uint8Array,
  isWhole: (value: T) => boolean,
): T | undefined {
  if (begin.some((byte, i) => entry[i] !== byte)) return undefined
  try {
    const text = decodeUtf8(entry, 'entry')
    const value = JSON.parse(text) as T
    return isWhole(value) && decodeUtf8(format(value), 'entry') === text ? value : undefined
  } catch (error) {
    // Text that is not of this form is an ordinary entry.
    if (error instanceof SyntaxError || error instanceof TypeError || error instanceof SteleError)
      return undefined
    throw error
  }
}

function isText(value: unknown): boolean {
  return typeof value === 'string'
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && value.every(isText)
}

function expectSame(where: string, what: string, expected: string | number, found: string | number): void {
  if (expected !== found) throw unfit(where, `${what} ${found}, expected ${expected}`)
}

/** Keys come and go; those that were named at the time must be the other log's. */
function expectKeys(where: string, named: readonly string[], known: readonly string[]): void {
  const foreign = named.find((key) => !known.includes(key))
  if (foreign !== undefined) throw unfit(where, `it names the key ${foreign}, which is not the other log's`)
}

function unfit(origin: string, message: string): SteleError {
  return new SteleError('bad_proof', `log ${origin}: ${message}`)
}
