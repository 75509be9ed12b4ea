import { existsSync } from 'node:fs'
import type { Command } from 'commander'
import { parseHex, toHex } from '../../bytes/hex.ts'
import { visibleText } from '../../bytes/visible.ts'
import { verifyProofFile, type ProofCheck, type ProofFault } from '../../client/verify.ts'
import { hasCode, SteleError } from '../../errors.ts'
import { asHash, sha256 } from '../../merkle/hash.ts'
import { checkLogKeys } from '../../note/checkpoint.ts'
import { formatVerifierKey } from '../../note/key.ts'
import { writeNewFile } from '../../storage/files.ts'
import { type Actions, examples } from '../action.ts'
import { addTrustOptions, type Context, type TrustOptions } from '../context.ts'
import { EXIT_CODES, EXIT_OK, EXIT_WRONG_ENTRY } from '../exit-codes.ts'
import { readInput, STDIN } from '../files/input.ts'
import { asUsage } from '../range.ts'
import {
  type Checked,
  describeVerified,
  isFolder,
  type NotJudged,
  type Pair,
  pairBeside,
  pairsIn,
  type ReadFile,
  reportText,
  summaryOf,
} from '../verify/report.ts'

interface VerifyOptions extends TrustOptions {
  readonly entry?: readonly string[]
  readonly hash?: string
  readonly evidence?: string
  readonly report?: string
}

/** The exit code of each result. */
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

/** The exit code of a pair that could not be checked, when several are verified. */
const UNJUDGED_CODES: Readonly<Record<NotJudged['verdict'], number>> = {
  no_entry: EXIT_CODES.not_found,
  no_proof: EXIT_CODES.not_found,
  io_error: EXIT_CODES.io_error,
}

/** `stele verify`: checks proof files offline. */
export function verifyCommand(program: Command, actions: Actions): void {
  const command = program
    .command('verify [proofs...]')
    .description('verify .tlog-proof files offline, with only the entries and the public key of the log')
  addTrustOptions(command)
    .option('--evidence <file>', "check a monitor's evidence file instead of a proof")
    .option(
      '--entry <file>',
      'the entry, from your own records ("-": standard input); for several proofs, one each in order',
      (file: string, before: readonly string[] | undefined) => [...(before ?? []), file],
    )
    .option('--hash <hex>', 'the leaf hash of the entry instead')
    .option(
      '--report <file>',
      'write a text for a report: what was verified, with which version, and file hashes',
    )
    .addHelpText(
      'after',
      `${examples(
        [
          'stele verify line.tlog-proof --entry line.txt --key log.example.com/logs/main+a3b1+AZ…',
          'checks that these bytes are in that log, and prints the index',
        ],
        [
          'stele verify line.tlog-proof --entry line.txt --policy trust.policy',
          'the same for a log in a policy, with the witnesses that the policy requires',
        ],
        [
          'stele verify handed-over/ --key log.vkey --report report.txt',
          'every proof of a folder, with the key in a file, and a text for a report',
        ],
      )}
A folder means all *.tlog-proof files in it. Without --entry the entry of x.tlog-proof is the file x beside it, or the only
file x.<extension>, for example x.txt. A file of the folder that has no proof counts as a failure, unless it is --key, --policy or
--rotations; so does a folder in it. Names that begin with a dot are ignored.

Results and exit codes:
   0 verified          the entry is in the log
  10 malformed         the file, or the checkpoint in it, does not follow its format
  11 wrong_log         the checkpoint is of another log
  12 untrusted_signer  the checkpoint is not signed by this key
  13 bad_signature     the signature by this key does not verify
  14 bad_proof         the proof is valid for no entry
  15 wrong_entry       it is the proof of another entry, or was changed
  18 quorum_not_met    fewer witnesses cosigned the checkpoint than the policy requires
With --evidence: 0 proven, 53 needs_log (the log must be asked), 54 no_contradiction, or one of 10 to 14.
Several proofs: 0 only if all are verified, else the code of the first that is not (4: no_entry or no_proof).
Any other code: nothing was checked (2 usage, 40 a file cannot be read).
`,
    )
    .action(actions.of(verify))
}

async function verify(context: Context, options: VerifyOptions, files: string[]): Promise<number> {
  const { io } = context
  if (options.evidence !== undefined) return verifyEvidence(context, options, options.evidence, files)
  const [first] = files
  if (first === undefined) {
    throw new SteleError('usage', 'verify: expected a .tlog-proof file, a folder of them, or --evidence')
  }
  if (options.report !== undefined && existsSync(options.report)) {
    throw new SteleError('already_exists', `${options.report}: it exists already`)
  }
  const trust = await trustOf(context, options)
  const rotations =
    context.rotationsFile === undefined ? undefined : await readInput(context.rotationsFile, io)
  const run: Run = { context, trust: { ...trust, rotations }, checked: [] }
  const code =
    files.length === 1 && !(await isFolder(first))
      ? await verifyOne(run, options, first)
      : await verifyMany(run, options, files)
  if (options.report !== undefined) await writeReport(run, options)
  return code
}

/** One call: the trusted keys, and the results so far. */
interface Run {
  readonly context: Context
  readonly trust: Omit<ProofCheck, 'proof' | 'entry' | 'leafHash'>
  readonly checked: Checked[]
}

async function verifyOne(run: Run, options: VerifyOptions, file: string): Promise<number> {
  const { io, terminal } = run.context
  const entry = await entryOf(run.context, options, file)
  const proof = await readFileAt(file, io)
  const result = verifyProofFile({ proof: proof.bytes, ...entry.check, ...run.trust })
  run.checked.push({ proof, entry: entry.shown, result })
  await terminal.result(asJson(result), describe(run.context, result))
  return VERDICT_CODES[result.verdict]
}

/** Prints a line for each pair and a summary. The exit code is 0 only if every pair is verified. */
async function verifyMany(run: Run, options: VerifyOptions, files: readonly string[]): Promise<number> {
  const { context, checked } = run
  const { terminal } = context
  let code = EXIT_OK
  for (const pair of await pairsOf(context, options, files)) {
    const done = await checkPair(run, pair)
    checked.push(done)
    const { verdict } = done.result
    if (code === EXIT_OK) code = { ...VERDICT_CODES, ...UNJUDGED_CODES }[verdict]
    const [proof, entry] = [
      done.proof?.path,
      done.entry && 'path' in done.entry ? done.entry.path : undefined,
    ]
    const name = proof ?? entry ?? ''
    await terminal.result(
      { proof, entry, ...asJson(done.result) },
      `${name}: ${describe(context, done.result)}`,
    )
  }
  const failed = checked.filter(({ result }) => result.verdict !== 'verified').length
  const counts = { summary: true, verified: checked.length - failed, failed }
  const { paintData } = terminal
  await terminal.result(counts, (failed === 0 ? paintData.green : paintData.red)(summaryOf(checked)))
  return code
}

async function pairsOf(
  context: Context,
  { entry: entries = [], hash, policy, report }: VerifyOptions,
  files: readonly string[],
): Promise<Pair[]> {
  if (hash !== undefined || [...files, ...entries].includes(STDIN)) {
    throw new SteleError('usage', 'verify: --hash and standard input are for one proof')
  }
  if (entries.length > 0 && entries.length !== files.length) {
    throw new SteleError('usage', `verify: expected --entry ${files.length} times, once for each proof`)
  }
  if (entries.length > 0) return files.map((proof, i) => ({ proof, entry: entries[i]! }))
  const others = [context.keyFile, context.rotationsFile, policy, report]
  const named = others.filter((file) => file !== undefined)
  const pairs: Pair[] = []
  for (const file of files) {
    if (await isFolder(file)) pairs.push(...(await pairsIn(file, named)))
    else pairs.push(await pairBeside(file))
  }
  return pairs
}

async function checkPair({ context: { io }, trust }: Run, pair: Pair): Promise<Checked> {
  if ('missing' in pair) {
    const [path, verdict] =
      'proof' in pair ? [pair.proof, 'no_entry' as const] : [pair.entry, 'no_proof' as const]
    const result = { verdict, message: pair.missing }
    const file = await readFileAt(path, io).catch(() => ({ path, sha256: 'unknown: not read' }))
    return 'proof' in pair ? { proof: file, result } : { entry: file, result }
  }
  try {
    const [proof, entry] = [await readFileAt(pair.proof, io), await readFileAt(pair.entry, io)]
    return { proof, entry, result: verifyProofFile({ proof: proof.bytes, entry: entry.bytes, ...trust }) }
  } catch (error) {
    if (!hasCode(error, 'io_error')) throw error
    const file = (path: string): ReadFile => ({ path, sha256: 'unknown: not read' })
    const result = { verdict: 'io_error' as const, message: error.message }
    return { proof: file(pair.proof), entry: file(pair.entry), result }
  }
}

async function writeReport(
  { context, trust, checked }: Run,
  { report, policy }: VerifyOptions,
): Promise<void> {
  const { io, rotationsFile, command } = context
  const read = (path: string | undefined) => (path === undefined ? undefined : readFileAt(path, io))
  const trusted = {
    origin: trust.origin,
    keys: (trust.verifierKeys ?? []).map((key) => (typeof key === 'string' ? key : formatVerifierKey(key))),
    policy: await read(policy),
    rotations: await read(rotationsFile),
  }
  const program = `stele ${command.parent?.version() ?? ''} (Node.js ${process.version})`
  await writeNewFile(report!, visibleText(reportText(checked, trusted, { at: new Date(), program })))
}

async function readFileAt(
  path: string,
  io: Context['io'],
): Promise<ReadFile & { readonly bytes: Uint8Array }> {
  const bytes = await readInput(path, io)
  return { path: path === STDIN ? 'standard input' : path, sha256: toHex(sha256(bytes)), bytes }
}

async function verifyEvidence(
  context: Context,
  { origin, entry, hash, policy, report }: VerifyOptions,
  evidence: string,
  proofs: readonly string[],
): Promise<number> {
  if ([proofs[0], entry, hash, policy, report].some((other) => other !== undefined)) {
    throw new SteleError(
      'usage',
      'verify: --evidence cannot be combined with a proof, an entry, a policy or a report',
    )
  }
  const { verifyEvidenceFile } = await import('../monitor/verify-evidence.ts')
  return verifyEvidenceFile(context, evidence, origin)
}

/** The keys of the log, a policy that lists the log, or both. */
async function trustOf(
  context: Context,
  { origin }: VerifyOptions,
): Promise<Pick<ProofCheck, 'origin' | 'verifierKeys' | 'policy'>> {
  const policy = await context.policy()
  if (policy && policy.logs.length > 0 && context.explicitKey === undefined) return { policy }
  const key = context.givenKey()
  checkLogKeys([key])
  return { origin: origin ?? key.name, verifierKeys: [key], ...(policy ? { policy } : {}) }
}

async function entryOf(
  { io }: Context,
  { entry: entries = [], hash }: VerifyOptions,
  file: string,
): Promise<{
  readonly check: { entry: Uint8Array } | { leafHash: Uint8Array }
  readonly shown: ReadFile | { readonly leafHash: string }
}> {
  if (entries.length + (hash === undefined ? 0 : 1) > 1) {
    throw new SteleError('usage', 'verify: expected one of --entry and --hash')
  }
  if (hash !== undefined) {
    return {
      check: { leafHash: asUsage(() => asHash(parseHex(hash, '--hash'), '--hash')) },
      shown: { leafHash: hash },
    }
  }
  const entry = entries[0] ?? (await entryBeside(file))
  if (entry === STDIN && file === STDIN) {
    throw new SteleError('usage', 'verify: standard input can be the proof or the entry, not both')
  }
  const read = await readFileAt(entry, io)
  return { check: { entry: read.bytes }, shown: read }
}

async function entryBeside(file: string): Promise<string> {
  const pair = file === STDIN ? undefined : await pairBeside(file)
  if (pair && 'entry' in pair) return pair.entry
  const why = pair && 'missing' in pair ? ` (${pair.missing})` : ''
  throw new SteleError('usage', `verify: expected --entry or --hash, or the entry beside the proof${why}`)
}

function asJson(result: Checked['result']): object {
  return result.verdict === 'verified' ? { ...result, leafHash: toHex(result.leafHash) } : result
}

function describe({ terminal: { paintData } }: Context, result: Checked['result']): string {
  if (result.verdict !== 'verified') return `${paintData.red(result.verdict)}: ${result.message}`
  return `${paintData.green('verified')}: ${describeVerified(result).join('\n')}`
}
