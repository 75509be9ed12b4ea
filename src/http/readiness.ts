import { sees, type Caller } from '../access/caller.ts'
import { hasCode } from '../errors.ts'
import { openCheckpoint } from '../note/checkpoint.ts'
import { parseVerifierKey } from '../note/key.ts'
import type { SignedHead } from '../log/head.ts'
import type * as z from 'zod'
import { json, type Answer } from './answer.ts'
import type { HttpDeps } from './deps.ts'
import type { HostedLog } from './directory.ts'
import { NO_STORE } from './headers.ts'
import { Readiness } from './schemas.ts'
import { withoutPaths } from './without-paths.ts'

type Ready = z.output<typeof Readiness>

/** Answers whether every log is open, with a head that is fresh and verifies, and whether the disk has room. */
export function readinessOf(deps: HttpDeps): (call: { readonly caller: Caller }) => Promise<Answer> {
  const verified = new WeakSet<SignedHead>()
  return async ({ caller }) => {
    const disk = await diskState(deps)
    const logs = deps.logs.list().map((hosted) => {
      const state = logState(hosted, deps, verified)
      // What is not ready counts, whoever asks; which log it is only those learn who may know of it.
      return sees(caller, hosted) ? state : { name: 'a private log', ready: state.ready, state: state.state }
    })
    const ready = logs.every((log) => log.ready) && (disk?.ready ?? true)
    const body = { status: ready ? 'ready' : 'not ready', logs, ...(disk ? { disk } : {}) } as const
    return json(Readiness, body, NO_STORE, ready ? 200 : 503)
  }
}

function logState(
  hosted: HostedLog,
  { limits, nowMs }: HttpDeps,
  verified: WeakSet<SignedHead>,
): Ready['logs'][number] {
  const { name, log, failure, scrub } = hosted
  const state = log?.status.state ?? 'failed'
  const headAgeMs = log && Math.max(0, nowMs() - log.published.timestampMs)
  // Of a frozen log nothing new is expected, so that no age of it is a fault.
  const old = state !== 'frozen' && headAgeMs !== undefined && headAgeMs > limits.maxHeadAgeMs
  const reason =
    failure?.message ??
    log?.status.reason ??
    damageReason(scrub) ??
    (old ? `the published head is too old${whyUnpublished(hosted)}` : undefined) ??
    (log && headFault(hosted, log.published, verified))
  return {
    name,
    ready: (state === 'serving' || state === 'frozen') && reason === undefined,
    state,
    ...(reason === undefined ? {} : { reason: withoutPaths(reason) }),
    ...(headAgeMs === undefined ? {} : { headAgeMs }),
  }
}

/** A damaged log serves what is good; somebody has to repair the rest. */
function damageReason(scrub: HostedLog['scrub']): string | undefined {
  const first = scrub?.findings[0]
  if (!scrub || !first) return undefined
  const more = scrub.findingCount - 1
  return `damaged: ${first.message}${more > 0 ? `, and ${more} more` : ''}`
}

function whyUnpublished({ log }: HostedLog): string {
  const reason = log?.status.unpublished
  return reason === undefined ? '' : `: ${reason}`
}

/** What readers would find wrong with the published head, checked as they do, with the log's public key alone. */
function headFault(hosted: HostedLog, head: SignedHead, verified: WeakSet<SignedHead>): string | undefined {
  if (verified.has(head)) return undefined
  try {
    const { origin, verifierKey } = hosted
    const opened = openCheckpoint(head.checkpoint, { origin, verifiers: [parseVerifierKey(verifierKey)] })
    if (opened.checkpoint.size !== head.size)
      return 'the published checkpoint is of another size than the tree'
    verified.add(head)
    return undefined
  } catch (error) {
    return `the published head does not verify${hasCode(error, 'internal') ? '' : `: ${(error as Error).message}`}`
  }
}

async function diskState({ disk }: HttpDeps): Promise<Ready['disk']> {
  if (!disk) return undefined
  const freeBytes = await disk.freeBytes()
  const { minFreeBytes } = disk
  if (freeBytes === undefined)
    return { ready: false, minFreeBytes, reason: 'the disk does not say what is free' }
  if (freeBytes >= minFreeBytes) return { ready: true, minFreeBytes, freeBytes }
  return { ready: false, minFreeBytes, freeBytes, reason: 'the disk has less room than min-free-bytes' }
}
