import { HttpFiles, type LogFiles, logPrefix } from '../../client/http-files.ts'
import { decodeUtf8 } from '../../bytes/text.ts'
import { Transport } from '../../client/transport.ts'
import { VerifiedTiles } from '../../client/verified-tiles.ts'
import { hasCode, SteleError } from '../../errors.ts'
import type { SignedHead } from '../../log/head.ts'
import type { LogIdentity } from '../../note/checkpoint.ts'
import { MAX_NOTE_BYTES } from '../../note/note.ts'
import type { Policy, PolicyWitness } from '../../policy/policy.ts'
import { WitnessClient } from '../../instance/witnesses.ts'
import { proveConsistency } from '../../tile/prove.ts'
import { originHash } from '../../witness/logs.ts'
import { openSeen, type Comparison } from './seen.ts'

const TIMEOUT_MS = 10_000

/** The user agent for requests to copies of the log. */
export type Headers = Readonly<Record<string, string>>

/** What the witnesses of a policy are asked. */
export interface Question {
  readonly policy: Policy
  readonly log: LogIdentity
  readonly head: SignedHead
  /** The tiles of that head. */
  readonly files: LogFiles
  /** Witnesses that the operator excludes. */
  readonly without: readonly string[]
}

/**
 * Asks every witness of a policy for the newest head that it has seen. The request submits the restored head, which a
 * witness cosigns only if it extends the head cosigned last. So the answer is current, while the witness's published
 * checkpoint may be old. Only a cosignature (200) or a size (409) counts as an answer.
 *
 * @returns the names of excluded witnesses
 * @throws SteleError `unreachable` if a witness does not respond and is not excluded; `fork`; `usage` for a name that
 *   is not a witness's
 */
export async function askWitnesses(question: Question, comparison: Comparison): Promise<string[]> {
  const { policy, without } = question
  const unknown = without.find((name) => !policy.witnesses.some((witness) => witness.name === name))
  if (unknown !== undefined) {
    throw new SteleError('usage', `--without-witness: the policy has no witness "${unknown}"`)
  }
  const asked = policy.witnesses.filter(({ name }) => !without.includes(name))
  for (const witness of asked) await ask(witness, question, comparison)
  return [...without]
}

async function ask(witness: PolicyWitness, question: Question, comparison: Comparison): Promise<void> {
  const source = `witness ${witness.name}`
  if (witness.url === undefined) throw unanswered(witness, new Error('the policy has no URL for it'))
  const published = await publishedBy(witness.url, question.log).catch((error: unknown) => error as Error)
  if (typeof published === 'string') {
    await comparison.compare(openSeen(`${source} at ${witness.url}`, published, question.log))
  }
  const answer = await cosign(witness, question)
  if (answer.status === 422) {
    throw new SteleError(
      'fork',
      `${source} at ${witness.url}: it has cosigned another history of this log: ${answer.failure?.message}. Nothing was ` +
        `restored; it keeps the evidence`,
    )
  }
  if (!answer.failure) return comparison.note(source, question.head.size)
  if (hasCode(answer.failure, 'rolled_back')) {
    const size = Number(/cosigned size ([0-9]+)/.exec(answer.failure.message)?.[1] ?? question.head.size + 1)
    return comparison.note(source, size)
  }
  // A witness's published checkpoint may be older than the one it cosigned last (a cache, a rate limit). It can show
  // that more was signed, or another history, but not that this head is the newest.
  throw unanswered(witness, answer.failure)
}

/** The checkpoint that a witness publishes; undefined if it publishes none. */
async function publishedBy(url: string, { origin }: LogIdentity): Promise<string | undefined> {
  try {
    const { body } = await new Transport({ timeoutMs: TIMEOUT_MS }).ask(
      `${logPrefix(url)}${originHash(origin)}/checkpoint`,
      { maxBytes: MAX_NOTE_BYTES, fresh: true },
    )
    return decodeUtf8(body, 'checkpoint')
  } catch (error) {
    if (hasCode(error, 'not_found')) return undefined
    throw error
  }
}

async function cosign(
  witness: PolicyWitness,
  { head, files }: Question,
): Promise<{ status: number | undefined; failure?: SteleError }> {
  let status: number | undefined
  const noting: typeof fetch = async (input, init) => {
    const answer = await fetch(input, init)
    status = answer.status
    return answer
  }
  const tiles = new VerifiedTiles(files, head)
  const prove = (oldSize: number) =>
    oldSize === 0 ? Promise.resolve([]) : proveConsistency(tiles, oldSize, head.size)
  try {
    await new WitnessClient(witness, { fetch: noting, timeoutMs: TIMEOUT_MS }).cosign(head, prove)
    return { status }
  } catch (error) {
    if (error instanceof SteleError) return { status, failure: error }
    throw error
  }
}

function unanswered({ name }: PolicyWitness, cause: Error): SteleError {
  return new SteleError(
    'unreachable',
    `witness ${name}: it did not report the newest head that it has seen: ${cause.message}. Without it, a newer signed head ` +
      `could be missed; nothing was restored. If the witness is gone for good, use --without-witness ${name}`,
    { cause },
  )
}

/** A mirror's files and its newest checkpoint. @throws SteleError `unreachable` */
export async function openMirror(
  url: string,
  deadlineMs: number,
  headers: Headers,
): Promise<{ files: LogFiles; note: string }> {
  const files = new HttpFiles(url, { headers }, { deadlineMs })
  return { files, note: await files.checkpoint() }
}
