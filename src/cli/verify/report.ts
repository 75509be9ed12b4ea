import { toHex } from '../../bytes/hex.ts'
import { encodeUtf8 } from '../../bytes/text.ts'
import type { ProofRefused, ProofVerified } from '../../client/verify.ts'
import { sha256 } from '../../merkle/hash.ts'
import { counted, formatCount } from '../output/units.ts'

/** A file as it was read. */
export interface ReadFile {
  readonly path: string
  /** Hex. */
  readonly sha256: string
}

/** What could not be judged: a file without a partner, or one that could not be read. */
export interface NotJudged {
  readonly verdict: 'no_entry' | 'no_proof' | 'io_error'
  readonly message: string
}

/** One proof and its entry, and what came of them. */
export interface Checked {
  readonly proof?: ReadFile
  /** A file, or the leaf hash that was given in its place. */
  readonly entry?: ReadFile | { readonly leafHash: string }
  readonly result: ProofVerified | ProofRefused | NotJudged
}

/** Whom the check believed. */
export interface Trusted {
  /** Verifier keys as text; empty where the policy lists the log. */
  readonly keys: readonly string[]
  readonly origin: string | undefined
  readonly policy: ReadFile | undefined
  readonly rotations: ReadFile | undefined
}

/** What a verified proof says, without the verdict: one line, and further ones on who signed when. */
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
  // The range of Date, which a signed number may exceed.
  if (ms === undefined || ms > 8.64e15) return 'time not stated'
  return `who states the time ${new Date(ms).toISOString()}`
}

/** How many were verified, and how many were not. */
export function summaryOf(all: readonly Checked[]): string {
  const good = all.filter(({ result }) => result.verdict === 'verified').length
  const bad = all.length - good
  return `${formatCount(good)} verified, ${bad === 0 ? 'none failed' : `${formatCount(bad)} FAILED`}`
}

/**
 * The text for a report: what was verified, when, with which program, against which key and which bytes.
 *
 * @param run when by this machine's clock, and what the program calls itself
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
  'does not mean that what they say is true. Times are the statements of those who signed.'

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
