import type { Command } from 'commander'
import { evaluatePolicy } from '../../policy/evaluate.ts'
import { parsePolicy } from '../../policy/parse.ts'
import type { Policy } from '../../policy/policy.ts'
import { describeMissing } from '../../policy/quorum.ts'
import { SteleError } from '../../errors.ts'
import type { Actions } from '../action.ts'
import type { Context } from '../context.ts'
import { readInput } from '../files/input.ts'
import { examples } from '../help.ts'
import { policyMakeCommand } from './policy-make.ts'

/** `stele policy`: files that say whose signatures suffice. */
export function policyCommand(program: Command, actions: Actions): void {
  const policy = program
    .command('policy')
    .description('files that say whose signatures suffice (c2sp.org/tlog-policy)')
    .addHelpText('after', examples(['stele policy check trust.policy', 'read one strictly']))
  policy
    .command('check <policy> [checkpoint]')
    .description('read a policy strictly, and say what it asks for; hold a signed checkpoint against it')
    .addHelpText(
      'after',
      examples(
        ['stele policy check trust.policy', 'names the first line that is wrong'],
        ['stele policy check trust.policy today.checkpoint', 'says who signed it, and who is missing'],
      ),
    )
    .action(actions.of(check))
  policyMakeCommand(policy, actions)
}

async function check(
  { io, terminal }: Context,
  _options: object,
  file: string,
  checkpointFile?: string,
): Promise<void> {
  const policy = parsePolicy(await readInput(file, io))
  if (checkpointFile === undefined) {
    await terminal.result(asJson(policy), describe(file, policy))
    return
  }
  const evaluation = evaluatePolicy(policy, await readInput(checkpointFile, io))
  const { logKeys, cosignatures, quorum, unverified } = evaluation
  if (logKeys.length === 0) {
    throw new SteleError('untrusted_signer', `${checkpointFile}: no log that the policy lists has signed it`)
  }
  if (!quorum.met)
    throw new SteleError('quorum_not_met', `${checkpointFile}: ${describeMissing(quorum.missing)}`)
  const witnesses = cosignatures.map(({ witness }) => witness.name)
  const { origin, size } = unverified
  await terminal.result(
    { origin, treeSize: size, signedBy: logKeys.map(({ name }) => name), cosignedBy: witnesses },
    `quorum met: ${origin} at size ${size}, cosigned by ${witnesses.join(', ') || 'nobody, and nobody need'}`,
  )
}

function asJson({ logs, witnesses, groups, quorum }: Policy): object {
  return {
    logs: logs.map(({ key, url }) => ({ origin: key.name, url })),
    witnesses: witnesses.map(({ name, key, url }) => ({ name, keyName: key.name, url })),
    groups,
    quorum,
  }
}

function describe(file: string, { logs, witnesses, groups, quorum }: Policy): string {
  const counts = [
    [logs.length, 'log'],
    [witnesses.length, 'witness'],
    [groups.length, 'group'],
  ] as const
  const parts = counts.map(
    ([count, noun]) => `${count} ${noun}${count === 1 ? '' : noun.endsWith('s') ? 'es' : 's'}`,
  )
  const group = groups.find(({ name }) => name === quorum)
  const asked = group ? `${group.threshold} of ${group.members.join(', ')}` : quorum
  return `${file}: ${parts.join(', ')}; quorum: ${asked}`
}
