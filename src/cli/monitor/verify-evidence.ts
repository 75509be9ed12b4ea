import { verifyEvidence, type EvidenceJudged, type EvidenceRefused } from '../../monitor/evidence-verdict.ts'
import { parseVerifierKey } from '../../note/key.ts'
import type { Context } from '../context.ts'
import { SteleError } from '../../errors.ts'
import { readInput } from '../files/input.ts'
import { trustedKeys } from '../files/rotations.ts'
import { asUsage } from '../range.ts'
import { EVIDENCE_CODES } from './verdict-codes.ts'

/**
 * `stele verify --evidence <file>`: judges an evidence file offline.
 *
 * @param wanted the log that it must be about; default: the name of the (first) key
 * @returns the exit code: 0 only if the file proves what it says
 * @throws SteleError `usage` without a key; `io_error`
 */
export async function verifyEvidenceFile(context: Context, file: string, wanted?: string): Promise<number> {
  const { explicitKey, terminal, io, rotationsFile } = context
  if (explicitKey === undefined) {
    const hint =
      'A tree head takes the key of type 0x05 as well; several stand in one text, with a space between'
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
