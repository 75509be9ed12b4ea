import type { Command } from 'commander'
import { parseHex, toHex } from '../../bytes/hex.ts'
import {
  verifyProofFile,
  type ProofCheck,
  type ProofFault,
  type ProofRefused,
  type ProofVerified,
} from '../../client/verify.ts'
import { SteleError } from '../../errors.ts'
import { asHash } from '../../merkle/hash.ts'
import { parsePolicy } from '../../policy/parse.ts'
import type { Actions } from '../action.ts'
import type { Context } from '../context.ts'
import { EXIT_CODES, EXIT_OK, EXIT_WRONG_ENTRY } from '../exit-codes.ts'
import { readInput, STDIN } from '../files/input.ts'
import { examples } from '../help.ts'
import { formatCount } from '../output/units.ts'
import { asUsage } from '../range.ts'

interface VerifyOptions {
  readonly entry?: string
  readonly hash?: string
  readonly origin?: string
  readonly policy?: string
  readonly evidence?: string
}

/** The exit code of each verdict. */
export const VERDICT_CODES: Readonly<Record<ProofFault | 'verified', number>> = {
  verified: EXIT_OK,
  malformed: EXIT_CODES.malformed,
  wrong_log: EXIT_CODES.wrong_origin,
  untrusted_signer: EXIT_CODES.untrusted_signer,
  bad_signature: EXIT_CODES.bad_signature,
  quorum_not_met: EXIT_CODES.quorum_not_met,
  bad_proof: EXIT_CODES.bad_proof,
  wrong_entry: EXIT_WRONG_ENTRY,
}

/** `stele verify`: judges a proof file offline. */
export function verifyCommand(program: Command, actions: Actions): void {
  program
    .command('verify [proof]')
    .description(
      'verify a .tlog-proof file offline: with the entry, the public key of the log, and nothing else',
    )
    .option('--evidence <file>', "judge a monitor's evidence file instead of a proof")
    .option('--entry <file>', 'the entry, from your own records ("-": standard input)')
    .option('--hash <hex>', 'its leaf hash instead')
    .option('--origin <text>', 'the log it must be of (default: the name of the key)')
    .option(
      '--policy <file>',
      'whose cosignatures it needs beside (c2sp.org/tlog-policy); may name the log, too',
    )
    .addHelpText(
      'after',
      `${examples(
        [
          'stele verify line.tlog-proof --entry line.txt --key log.example.com/logs/main+a3b1+AZ…',
          'says whether these bytes are in that log, and at which index',
        ],
        [
          'stele verify line.tlog-proof --entry line.txt --policy trust.policy',
          'the same for a log that the policy lists, with the witnesses that it asks for',
        ],
      )}
Verdicts and exit codes:
   0 verified          the entry is in the log
  10 malformed         the file, or the checkpoint in it, does not follow its format
  11 wrong_log         the checkpoint is of another log
  12 untrusted_signer  the checkpoint is not signed by this key
  13 bad_signature     the signature by this key does not verify
  14 bad_proof         no entry could have this proof
  15 wrong_entry       it is the proof of another entry, or was changed
  18 quorum_not_met    fewer witnesses cosigned the checkpoint than the policy asks for
With --evidence: 0 proven, 53 needs_log (the log must be asked), 54 no_contradiction, or one of 10 to 14.
Any other code: nothing was judged (2 usage, 40 a file cannot be read).
`,
    )
    .action(actions.of(verify))
}

async function verify(context: Context, options: VerifyOptions, file: string | undefined): Promise<number> {
  const { io, terminal } = context
  if (options.evidence !== undefined) return verifyEvidence(context, options, options.evidence, file)
  if (file === undefined) throw new SteleError('usage', 'verify: expected a .tlog-proof file, or --evidence')
  const trusted = await trustOf(context, options)
  const checked = await entryOf(context, options, file)
  const rotations =
    context.rotationsFile === undefined ? undefined : await readInput(context.rotationsFile, io)
  const result = verifyProofFile({ proof: await readInput(file, io), ...checked, ...trusted, rotations })
  await terminal.result(asJson(result), describe(context, result))
  return VERDICT_CODES[result.verdict]
}

async function verifyEvidence(
  context: Context,
  { origin, entry, hash, policy }: VerifyOptions,
  evidence: string,
  proof: string | undefined,
): Promise<number> {
  if ([proof, entry, hash, policy].some((other) => other !== undefined)) {
    throw new SteleError('usage', 'verify: --evidence is judged alone, without a proof, an entry or a policy')
  }
  const { verifyEvidenceFile } = await import('../monitor/verify-evidence.ts')
  return verifyEvidenceFile(context, evidence, origin)
}

/** The log's key, or a policy that lists it, or both. */
async function trustOf(
  context: Context,
  { origin, policy: file }: VerifyOptions,
): Promise<Pick<ProofCheck, 'origin' | 'verifierKeys' | 'policy'>> {
  const policy = file === undefined ? undefined : parsePolicy(await readInput(file, context.io))
  if (policy && policy.logs.length > 0 && context.explicitKey === undefined) return { policy }
  const key = context.givenKey()
  return { origin: origin ?? key.name, verifierKeys: [key], ...(policy ? { policy } : {}) }
}

async function entryOf(
  { io }: Context,
  { entry, hash }: VerifyOptions,
  file: string,
): Promise<{ entry: Uint8Array } | { leafHash: Uint8Array }> {
  if ((entry === undefined) === (hash === undefined)) {
    throw new SteleError('usage', 'verify: expected one of --entry and --hash')
  }
  if (hash !== undefined) return { leafHash: asUsage(() => asHash(parseHex(hash, '--hash'), '--hash')) }
  if (entry === STDIN && file === STDIN) {
    throw new SteleError('usage', 'verify: standard input can be the proof or the entry, not both')
  }
  return { entry: await readInput(entry!, io) }
}

function asJson(result: ProofVerified | ProofRefused): object {
  return result.verdict === 'verified' ? { ...result, leafHash: toHex(result.leafHash) } : result
}

function describe({ terminal: { paintData } }: Context, result: ProofVerified | ProofRefused): string {
  if (result.verdict !== 'verified') return `${paintData.red(result.verdict)}: ${result.message}`
  const { index, origin, treeSize, signedBy, cosignedBy } = result
  const witnesses =
    cosignedBy.length > 0 ? `, cosigned by ${cosignedBy.map(({ name }) => name).join(', ')}` : ''
  return (
    `${paintData.green('verified')}: entry ${index} of ${origin}, in the tree of size ` +
    `${formatCount(treeSize)} that ${signedBy.join(', ')} signed${witnesses}`
  )
}
