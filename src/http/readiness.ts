import { sees, type Caller } from '../access/caller.ts'
import { hasCode } from '../errors.ts'
import { openCheckpoint } from '../note/checkpoint.ts'
import { parseVerifierKey } from '../note/key.ts'
import type { SignedHead } from '../log/head.ts'
import type * as z from 'zod'
import { json, type Answer } from './answer.ts'
import type { HttpDeps } from './deps.ts'
import type { HostedLog } from '../instance/directory.ts'
import { NO_STORE } from './headers.ts'
import { Readiness } from './schemas.ts'
import { withoutPaths } from './without-paths.ts'

type Ready = z.output<typeof Readiness>

/** Answers whether every log is open, with a head that is fresh and verifies, and whether the disk has room. */
export function readinessOf(deps: HttpDeps): (call: { readonly caller: Caller }) => Promise<Answer> {
  const verified = new WeakSet<SignedHead>()
  return async ({ caller }) => {
    const { gate } = deps
    const disk = await diskState(deps, gate.tells(caller))
    const hosted = deps.logs.list()
    const states = hosted.map((one) => {
      const state = logState(one, deps, verified)
      const reason = gate.tells(caller, one) ? withoutPaths(state.reason ?? '') : UNTOLD
      return state.reason === undefined ? state : { ...state, reason }
    })
    const shown = states.filter((_, i) => sees(caller, hosted[i]!))
    // What is not ready counts, whoever asks; of logs that a caller may not know of, they learn that and no more.
    const logsReady = states.every((log) => log.ready)
    const unseen = !logsReady && shown.every((log) => log.ready)
    const logs = unseen ? [...shown, { name: 'a private log', ready: false, state: 'failed' }] : shown
    const ready = logsReady && (disk?.ready ?? true)
    const body = { status: ready ? 'ready' : 'not ready', logs, ...(disk ? { disk } : {}) } as const
    return json(Readiness, body, NO_STORE, ready ? 200 : 503)
  }
}

/** To callers without a key for a log. */
const UNTOLD = 'the log of the server says why, and this answer to a key for this log'

function logState(
  hosted: HostedLog,
  { limits, nowMs }: HttpDeps,
  verified: WeakSet<SignedHead>,
): Ready['logs'][number] {
  const { name, log, failure, scrub } = hosted
  const state = log?.status.state ?? 'failed'
  const headAgeMs = log && nowMs() - log.published.timestampMs
  // Of a frozen log nothing new is expected, so that no age of it is a fault.
  const old = state !== 'frozen' && headAgeMs !== undefined && headAgeMs > limits.maxHeadAgeMs
  const reason =
    failure?.message ??
    log?.status.reason ??
    pendingReason(log?.status.writePendingMs) ??
    damageReason(scrub) ??
    (old ? `the published head is too old${whyUnpublished(hosted)}` : undefined) ??
    (log && headFault(hosted, log.published, verified))
  return {
    name,
    ready: (state === 'serving' || state === 'frozen') && reason === undefined,
    state,
    ...(reason === undefined ? {} : { reason }),
    ...(headAgeMs === undefined ? {} : { headAgeMs }),
  }
}

/** Far more than a commit takes (0.1 s at full load), and less than a supervisor waits before it acts. */
const MAX_WRITE_MS = 10_000

function pendingReason(pendingMs = 0): string | undefined {
  if (pendingMs < MAX_WRITE_MS) return undefined
  return `a write has waited for ${Math.floor(pendingMs / 1000)} s: the disk of this log does not answer`
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

async function diskState({ disk }: HttpDeps, isTold: boolean): Promise<Ready['disk']> {
  if (!disk) return undefined
  const freeBytes = await disk.freeBytes()
  if (!isTold) return { ready: freeBytes !== undefined && freeBytes >= disk.minFreeBytes }
  const { minFreeBytes } = disk
  if (freeBytes === undefined)
    return { ready: false, minFreeBytes, reason: 'the disk does not say what is free' }
  if (freeBytes >= minFreeBytes) return { ready: true, minFreeBytes, freeBytes }
  return { ready: false, minFreeBytes, freeBytes, reason: 'the disk has less room than min-free-bytes' }
}
