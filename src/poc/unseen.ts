import { SteleError } from '../errors.ts'
import type { Attack } from './attack.ts'
import { textReply } from './front.ts'
import { auditor, log, monitor, newcomer, policyReader } from './lookouts.ts'
import { lying } from './network.ts'
import { backUp, restoreBackup } from './setting.ts'
import { showFork } from './stolen-key.ts'
import type { Stage } from './stage.ts'

const ALONE = { witnessed: false }
const SUPPRESSED = 'host-b'

/** What nobody notices, as the threat model says. It stays in the list so that the list is honest. */
export const unseenAttacks: readonly Attack[] = [
  {
    name: 'unseen-fork',
    title: 'the same fork, for a reader who does not compare and asks for no witness',
    stage: ALONE,
    lookouts: [newcomer(undefined), auditor(undefined), policyReader(undefined)],
    act: showFork,
  },
  {
    name: 'unseen-rollback',
    title: 'the same backup, where no witness and no reader saw what came after it',
    stage: ALONE,
    lookouts: [log(undefined), newcomer(undefined), auditor(undefined)],
    act: async (stage) => {
      await backUp(stage)
      await stage.append()
      await restoreBackup(stage)
    },
  },
  {
    name: 'suppress',
    title: 'refuse the entries of one source, and never acknowledge them',
    lookouts: [monitor(undefined), auditor(undefined), policyReader(undefined)],
    act: async (stage) => {
      const problem = JSON.stringify({ code: 'overloaded', detail: 'the queue is full', status: 503 })
      stage.parts.front.lie = lying(
        ({ method, body }) => method === 'POST' && body.includes(SUPPRESSED),
        () => textReply(problem, 'application/problem+json', 503),
      )
      await submitInVain(stage)
    },
  },
]

/** The source knows that it has no receipt, and can prove nothing to anybody. */
async function submitInVain({ parts: { front } }: Stage): Promise<void> {
  const body = `${SUPPRESSED}: a login that somebody would rather not have logged`
  const answer = await fetch(`${front.url}/v1/entries`, { method: 'POST', body })
  if (!answer.ok) return
  throw new SteleError('unexpected_answer', 'expected no receipt for a suppressed entry, got one')
}
