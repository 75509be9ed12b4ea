import type { Command } from 'commander'
import { decodeUtf8 } from '../../bytes/text.ts'
import { hasCode, SteleError } from '../../errors.ts'
import { isCosignerKeyType, isLogKeyType, type KeyType } from '../../note/key-id.ts'
import { parseVerifierKey } from '../../note/key.ts'
import type { VerifierKey } from '../../note/note.ts'
import { evaluatePolicy } from '../../policy/evaluate.ts'
import { formatPolicy } from '../../policy/format.ts'
import { parsePolicy } from '../../policy/parse.ts'
import { NO_QUORUM, type Policy } from '../../policy/policy.ts'
import { describeMissing } from '../../policy/quorum.ts'
import { type Actions, examples } from '../action.ts'
import type { Context } from '../context.ts'
import { readInput } from '../files/input.ts'

/** `stele policy`: files that state which signatures a checkpoint needs. */
export function policyCommand(program: Command, actions: Actions): void {
  const policy = program
    .command('policy')
    .description('files that state which signatures a checkpoint needs (c2sp.org/tlog-policy)')
    .addHelpText('after', examples(['stele policy check trust.policy', 'read one strictly']))
  policy
    .command('check <policy> [checkpoint]')
    .description('check a policy and show what it requires; with a checkpoint, check that against the policy')
    .addHelpText(
      'after',
      examples(
        ['stele policy check trust.policy', 'names the first invalid line'],
        ['stele policy check trust.policy today.checkpoint', 'shows who signed it, and who is missing'],
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
    `quorum met: ${origin} at size ${size}, cosigned by ${witnesses.join(', ') || 'no witness, as none is required'}`,
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

interface PolicyMakeOptions {
  readonly log?: readonly string[]
  readonly witness?: readonly string[]
  readonly quorum?: string
  readonly output?: string
}

/** A key on the command line, and the URL of its owner. */
interface Party {
  readonly key: VerifierKey
  readonly url?: string
}

const GROUP = 'witnesses'

/** `stele policy make`: writes a policy of the usual form, n of these witnesses. */
function policyMakeCommand(policy: Command, actions: Actions): void {
  policy
    .command('make')
    .description('write a policy: a log, its witnesses, and how many of them must have cosigned')
    .option('--log <vkey...>', 'verifier key of a log, for verifiers; a log does not need its own')
    .option('--witness <vkey=url...>', 'verifier key of a witness, and its URL')
    .option('--quorum <number>', 'how many of the witnesses must have cosigned: 1 to all of them')
    .option('-o, --output <file>', 'write it to this new file')
    .addHelpText(
      'after',
      `
Without a witness it names logs and asks for no cosignature: for tools that take their keys from a policy.
A witness counts by one key. The URL may be left out in a policy that is only for verifiers.
${examples([
  'stele policy make --log <vkey> --witness <vkey>=https://w1.example <vkey>=https://w2.example --quorum 1',
  'one of two witnesses',
])}`,
    )
    .action(actions.of(make))
}

async function make({ terminal }: Context, options: PolicyMakeOptions): Promise<void> {
  const { output } = options
  const policy = policyOf(options)
  const text = decodeUtf8(formatPolicy(policy), 'policy')
  if (output !== undefined) {
    const { writeNewFile } = await import('../../storage/files.ts')
    await writeNewFile(output, text)
    terminal.note(`${output}: ${policy.groups[0]?.threshold ?? 0} of ${policy.witnesses.length} witnesses`)
  }
  if (terminal.json) await terminal.jsonLine({ policy: text, ...(output === undefined ? {} : { output }) })
  else if (output === undefined) await terminal.data(text)
}

function policyOf({ log = [], witness = [], quorum }: PolicyMakeOptions): Policy {
  const logs = log.map((text) => partyOf('--log', text, isLogKeyType))
  // The policy names each witness by the name of its key.
  const witnesses = witness.map((text) => partyOf('--witness', text, isCosignerKeyType))
  const names = witnesses.map(({ key }) => key.name)
  const keys = new Set([...logs, ...witnesses].map(({ key }) => key.publicKey.join()))
  if (new Set(names).size < names.length || keys.size < logs.length + witnesses.length) {
    throw new SteleError('usage', 'policy make: expected one key of each witness, and each key once')
  }
  if (names.includes(GROUP) || names.includes('none')) {
    throw new SteleError('usage', `policy make: a witness named "${GROUP}" or "none" needs a policy by hand`)
  }
  if (witnesses.length === 0) {
    if (quorum === undefined && logs.length > 0) return { logs, witnesses: [], groups: [], quorum: NO_QUORUM }
    throw new SteleError('usage', 'policy make: expected --log, or --witness and --quorum, or all of them')
  }
  return {
    logs,
    witnesses: witnesses.map((party) => ({ name: party.key.name, ...party })),
    groups: [{ name: GROUP, threshold: thresholdOf(quorum, names.length), members: names }],
    quorum: GROUP,
  }
}

function partyOf(flag: string, text: string, isOfType: (type: KeyType) => boolean): Party {
  // A key in base64 may end in "=", so the URL is recognised by its scheme.
  const [, vkey, url] = /^(.*?)(?:=(https?:\/\/[^\s]+))?$/s.exec(text)!
  const key = keyOf(flag, vkey!)
  if (!isOfType(key.type)) {
    const [kinds, instead] =
      flag === '--log'
        ? ['a log, got one of a witness', '--witness takes it']
        : ['a witness, got one of a log', '--log takes it']
    throw new SteleError('usage', `${flag}: expected a key of ${kinds}: ${key.name}; ${instead}`)
  }
  return url === undefined ? { key } : { key, url }
}

function keyOf(flag: string, vkey: string): VerifierKey {
  try {
    return parseVerifierKey(vkey)
  } catch (error) {
    if (!hasCode(error, 'malformed')) throw error
    throw new SteleError(
      'usage',
      `${flag}: expected <verifier key> or <verifier key>=<URL>: ${error.message}`,
      {
        cause: error,
      },
    )
  }
}

function thresholdOf(text = '', count: number): number {
  const threshold = /^[1-9][0-9]{0,3}$/.test(text) ? Number(text) : 0
  if (threshold >= 1 && threshold <= count) return threshold
  throw new SteleError('usage', `--quorum: expected a number from 1 to ${count}, got "${text}"`)
}
