import { SteleError } from '../errors.ts'
import { evaluatePolicy } from '../policy/evaluate.ts'
import type { Policy } from '../policy/policy.ts'
import { describeMissing } from '../policy/quorum.ts'
import type { ShownHead } from './keep-evidence.ts'
import type { Parts } from './round.ts'

/**
 * Holds a head against the log's policy.
 *
 * @returns the dates of its good cosignatures, in milliseconds since 1970
 */
export async function checkQuorum({ log, keys, problems }: Parts, { head }: ShownHead): Promise<number[]> {
  if (!log.policy) return []
  const { message, datesMs } = evaluate(log.policy, head.note, {
    origin: log.origin,
    verifiers: keys.verifiers,
  })
  const detail = { size: head.size }
  const problem = message === undefined ? undefined : { subject: 'quorum', message, detail }
  await problems.settle('quorum_lost', 'checkpoint', problem)
  return datesMs
}

function evaluate(
  policy: Policy,
  note: string,
  log: Parameters<typeof evaluatePolicy>[2],
): { message: string | undefined; datesMs: number[] } {
  try {
    const { quorum, cosignatures } = evaluatePolicy(policy, note, log)
    const seconds = cosignatures.map(({ timestampSeconds }) => timestampSeconds)
    return {
      message: quorum.met
        ? undefined
        : `the newest head lacks its quorum: ${describeMissing(quorum.missing)}`,
      datesMs: seconds.filter((time) => time !== undefined).map((time) => time * 1000),
    }
  } catch (error) {
    // The log's own signature is good; a bad line by a witness condemns what the witnesses are said to state.
    if (!(error instanceof SteleError) || error.code === 'internal') throw error
    return { message: `the newest head lacks its quorum: ${error.message}`, datesMs: [] }
  }
}
