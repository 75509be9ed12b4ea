import { SteleError } from '../../errors.ts'
import {
  type EvidenceFault,
  type EvidenceJudged,
  type EvidenceRefused,
  verifyEvidence,
} from '../../monitor/evidence-verdict.ts'
import { FINDING_KINDS, type FindingKind } from '../../monitor/finding.ts'
import { parseVerifierKey } from '../../note/key.ts'
import type { Context } from '../context.ts'
import { EXIT_CODES } from '../exit-codes.ts'
import { readInput } from '../files/input.ts'
import { trustedKeys } from '../files/rotations.ts'
import { asUsage } from '../range.ts'

/**
 * `stele verify --evidence <file>`: checks an evidence file offline.
 *
 * @param wanted origin of the log; default: the name of the (first) key
 * @returns the exit code: 0 only if the file proves what it says
 * @throws SteleError `usage` without a key; `io_error`
 */
export async function verifyEvidenceFile(context: Context, file: string, wanted?: string): Promise<number> {
  const { explicitKey, terminal, io, rotationsFile } = context
  if (explicitKey === undefined) {
    const hint = 'A tree head requires the key of type 0x05 as well; separate several keys with spaces'
    throw new SteleError('usage', `expected the log's verifier key, with --key or STELE_KEY. ${hint}`)
  }
  const given = asUsage(() => explicitKey.trim().split(/\s+/).map(parseVerifierKey))
  const origin = wanted ?? given[0]!.name
  const verifierKeys = await trustedKeys(io, { origin, verifiers: given }, rotationsFile)
  const evidence = await readInput(file, io)
  const result = verifyEvidence({ evidence, origin, verifierKeys })
  await terminal.result(result, describe(context, result))
  return EVIDENCE_CODES[result.verdict]
}

function describe({ terminal: { paintData } }: Context, result: EvidenceJudged | EvidenceRefused): string {
  if (!('proven' in result)) return `${paintData.red(result.verdict)}: ${result.message}`
  const verdict = result.verdict === 'proven' ? paintData.green('proven') : paintData.yellow('needs the log')
  const lines = [
    `${verdict}: ${result.kind} of ${result.origin}, sizes ${result.sizes.join(' and ')}`,
    ...result.proven.map((fact) => `  proven       ${fact}`),
    ...result.notProven.map((fact) => `  not proven   ${fact}`),
  ]
  return lines.join('\n')
}

/** The exit code of `monitor --once` for each kind of finding. Part of the command line's API. */
export const FINDING_CODES: Readonly<Record<FindingKind, number>> = {
  fork: EXIT_CODES.fork,
  rollback: EXIT_CODES.rolled_back,
  unfrozen: 58,
  bad_signature: EXIT_CODES.bad_signature,
  bad_entry: EXIT_CODES.bad_proof,
  bad_tile: EXIT_CODES.bad_proof,
  unproven: EXIT_CODES.unauthenticated,
  access_denied: EXIT_CODES.unauthenticated,
  quorum_lost: EXIT_CODES.quorum_not_met,
  stale: 50,
  silent: 51,
  unreachable: EXIT_CODES.unreachable,
  match_timeout: 59,
  match: 52,
}

/** The exit code of `verify --evidence` for each result; 0 only if the file proves its claim. */
export const EVIDENCE_CODES: Readonly<Record<EvidenceFault | EvidenceJudged['verdict'], number>> = {
  proven: 0,
  needs_log: 53,
  no_contradiction: 54,
  malformed: EXIT_CODES.malformed,
  wrong_log: EXIT_CODES.wrong_origin,
  untrusted_signer: EXIT_CODES.untrusted_signer,
  bad_signature: EXIT_CODES.bad_signature,
  bad_proof: EXIT_CODES.bad_proof,
}

/** The most serious of the kinds found, without matches. */
export function gravest(kinds: readonly FindingKind[]): FindingKind | undefined {
  return FINDING_KINDS.find((kind) => kind !== 'match' && kinds.includes(kind))
}
