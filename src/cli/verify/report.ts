import type { Dirent } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { toHex } from '../../bytes/hex.ts'
import { encodeUtf8 } from '../../bytes/text.ts'
import type { ProofRefused, ProofVerified } from '../../client/verify.ts'
import { SteleError } from '../../errors.ts'
import { sha256 } from '../../merkle/hash.ts'
import { STDIN } from '../files/input.ts'
import { counted, formatCount } from '../output/units.ts'

/** A file that was read. */
export interface ReadFile {
  readonly path: string
  /** Hex. */
  readonly sha256: string
}

/** A file that could not be checked: it has no counterpart, or cannot be read. */
export interface NotJudged {
  readonly verdict: 'no_entry' | 'no_proof' | 'io_error'
  readonly message: string
}

/** One proof with its entry, and the result. */
export interface Checked {
  readonly proof?: ReadFile
  /** A file, or a leaf hash given instead. */
  readonly entry?: ReadFile | { readonly leafHash: string }
  readonly result: ProofVerified | ProofRefused | NotJudged
}

/** The trusted keys and policy of a check. */
interface Trusted {
  /** Verifier keys as text; empty if the policy lists the log. */
  readonly keys: readonly string[]
  readonly origin: string | undefined
  readonly policy: ReadFile | undefined
  readonly rotations: ReadFile | undefined
}

/** The facts of a verified proof, in lines: the entry, then who signed when. */
export function describeVerified(result: ProofVerified): string[] {
  const { index, origin, treeSize, signedBy, signatures, cosignedBy, unverifiedNames } = result
  const lines = [
    `entry ${index} of ${origin}, in the tree of size ${formatCount(treeSize)} that ${signedBy.join(', ')} signed`,
    ...signatures.map(({ name, timestampMs }) => `  signed       by ${name}, ${timeOf(timestampMs)}`),
    ...cosignedBy.map(
      ({ name, timestampSeconds: at }) =>
        `  cosigned     by ${name}, ${timeOf(at === undefined ? at : at * 1000)}`,
    ),
  ]
  if (cosignedBy.length === 0) lines.push('  cosigned     by no witness whose key was given')
  if (unverifiedNames.length > 0) {
    lines.push(
      `  not checked  signatures under the names ${unverifiedNames.join(', ')}: their keys were not given`,
    )
  }
  return lines
}

function timeOf(ms: number | undefined): string {
  // A signed number may exceed the range of Date.
  if (ms === undefined || ms > 8.64e15) return 'time not stated'
  return `who states the time ${new Date(ms).toISOString()}`
}

/** The number of verified and of failed items. */
export function summaryOf(all: readonly Checked[]): string {
  const good = all.filter(({ result }) => result.verdict === 'verified').length
  const bad = all.length - good
  return `${formatCount(good)} verified, ${bad === 0 ? 'none failed' : `${formatCount(bad)} FAILED`}`
}

/**
 * A text for a report: what was verified, when, with which program, key and bytes.
 *
 * @param run time by this machine's clock, and the program's name and version
 */
export function reportText(
  all: readonly Checked[],
  trusted: Trusted,
  run: { readonly at: Date; readonly program: string },
): string {
  const keys = trusted.keys.map(
    (key) => `The verifier key was ${key} (SHA-256 of this text: ${hashOf(key)}).`,
  )
  const about = trusted.origin === undefined ? 'a log that the policy lists' : `the log ${trusted.origin}`
  const files = [
    trusted.policy && `The policy was ${named(trusted.policy)}.`,
    trusted.rotations && `Statements of new keys were taken from ${named(trusted.rotations)}.`,
  ]
  const head = [
    `On ${run.at.toISOString()}, by the clock of the computer in use, ${run.program} held ` +
      `${counted(all.length, 'item')} against ${about}, offline.`,
    ...keys,
    ...files.filter((text) => text !== undefined),
    `Result: ${summaryOf(all)}.`,
  ]
  const items = all.map((each, i) => `${i + 1}. ${itemOf(each)}`)
  return [head.join(' '), ...items, MEANING, ''].join('\n\n')
}

const MEANING =
  '"Verified" means that the bytes of the entry, as they were read, are in the tree whose head the named keys signed. It ' +
  'does not mean that the content of the entry is true. Times are the statements of those who signed.'

function itemOf({ proof, entry, result }: Checked): string {
  const what = [proof && `the proof ${named(proof)}`, entry && `the entry ${named(entry)}`]
  const files = what.filter((text) => text !== undefined).join(', ')
  if (result.verdict !== 'verified') return `FAILED, ${result.verdict}: ${files}. ${result.message}.`
  const [fact, ...signers] = describeVerified(result).map((line) => line.trim().replaceAll(/ {2,}/g, ' '))
  return `Verified: ${files}. It is ${fact}: ${signers.join('; ')}.`
}

function named(file: ReadFile | { readonly leafHash: string }): string {
  return 'leafHash' in file ? `with the leaf hash ${file.leafHash}` : `${file.path} (SHA-256 ${file.sha256})`
}

function hashOf(text: string): string {
  return toHex(sha256(encodeUtf8(text)))
}

/** A proof file and its entry. A file without a counterpart counts as a failure. */
export type Pair =
  | { readonly proof: string; readonly entry: string }
  | { readonly proof: string; readonly missing: string }
  | { readonly entry: string; readonly missing: string }

const PROOF = '.tlog-proof'

/** True for an argument that is a folder of proofs. @throws SteleError `io_error` */
export async function isFolder(path: string): Promise<boolean> {
  if (path === STDIN) return false
  try {
    return (await stat(path)).isDirectory()
  } catch (error) {
    // An unreadable file is reported when it is read.
    if ((error as NodeJS.ErrnoException).code !== undefined) return false
    throw error
  }
}

/**
 * The pairs of a folder. The entry of `x.tlog-proof` is the file `x` beside it or, if there is none, the only file
 * named `x`, a dot and one extension (`x.txt`). Files whose names begin with a dot are ignored. Any other file without
 * a proof, and any folder, is listed as not verified.
 *
 * @param others files of the folder that are neither proof nor entry: keys, policies
 * @throws SteleError `io_error`; `usage` for a folder without proof files
 */
export async function pairsIn(folder: string, others: readonly string[] = []): Promise<Pair[]> {
  const left = new Set(others.map((path) => resolve(path)))
  const found = (await contents(folder)).filter(({ name }) => !left.has(resolve(folder, name)))
  const names = found.filter((each) => !each.isDirectory()).map(({ name }) => name)
  const proofs = names.filter((name) => name.endsWith(PROOF))
  if (proofs.length === 0) throw new SteleError('usage', `${folder}: expected a folder with *${PROOF} files`)
  const pairs = proofs.map((name) => pairOf(folder, name, names))
  const used = new Set(pairs.flatMap((pair) => ('entry' in pair ? [pair.entry] : [])))
  const alone = found
    .filter(({ name }) => !name.endsWith(PROOF) && !used.has(join(folder, name)))
    .map((each) => ({
      entry: join(folder, each.name),
      missing: each.isDirectory() ? 'a folder, which is not searched' : `there is no proof of it here`,
    }))
  return [...pairs, ...alone]
}

/** The pair of one proof file, with the entry beside it. @throws SteleError `io_error` */
export async function pairBeside(proof: string): Promise<Pair> {
  const folder = dirname(proof)
  const names = (await contents(folder)).filter((each) => !each.isDirectory()).map(({ name }) => name)
  const pair = pairOf(folder, basename(proof), names)
  return { ...pair, proof }
}

function pairOf(folder: string, name: string, names: readonly string[]): Pair & { readonly proof: string } {
  const proof = join(folder, name)
  if (!name.endsWith(PROOF))
    return { proof, missing: `its name does not end with ${PROOF}, so the name of its entry is unknown` }
  const base = name.slice(0, -PROOF.length)
  if (names.includes(base)) return { proof, entry: join(folder, base) }
  const [first, ...more] = names.filter((other) => isExtended(base, other))
  if (first === undefined)
    return { proof, missing: `there is no ${base} and no ${base}.<extension> beside it` }
  if (more.length > 0)
    return { proof, missing: `expected one entry beside it, got ${[first, ...more].join(', ')}` }
  return { proof, entry: join(folder, first) }
}

function isExtended(base: string, name: string): boolean {
  return name.startsWith(`${base}.`) && !name.endsWith(PROOF) && !name.slice(base.length + 1).includes('.')
}

async function contents(folder: string): Promise<Dirent[]> {
  try {
    const all = await readdir(folder, { withFileTypes: true })
    return all.filter(({ name }) => !name.startsWith('.')).toSorted((a, b) => (a.name < b.name ? -1 : 1))
  } catch (error) {
    throw new SteleError('io_error', `${folder}: ${(error as Error).message}`, { cause: error })
  }
}
