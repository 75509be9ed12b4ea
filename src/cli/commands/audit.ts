import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Option, type Command } from 'commander'
import { decodeUtf8 } from '../../bytes/text.ts'
import type { LogFiles } from '../../client/http-files.ts'
import type { Encoding } from '../../client/wire-node.ts'
import { SteleError } from '../../errors.ts'
import type { Trust } from '../../policy/evaluate.ts'
import { type Actions, examples } from '../action.ts'
import { addTrustOptions, type Context } from '../context.ts'
import { EXIT_CODES, EXIT_DAMAGED, EXIT_OK } from '../exit-codes.ts'
import { COPIES_HELP } from '../files/secret-file.ts'
import { FolderFiles } from '../files/folder-files.ts'
import { readInput } from '../files/input.ts'
import { auditInto } from '../fsck/audit.ts'
import { Findings, printReport } from '../fsck/report.ts'

interface AuditOptions {
  readonly state?: string
  readonly pinned?: string
  readonly secondOpinion?: boolean
  readonly encoding?: Encoding
}

/** `stele audit`: recomputes a whole log from its served files. */
export function auditCommand(program: Command, actions: Actions): void {
  const command = program
    .command('audit [target]')
    .description(
      'recompute a whole log over HTTP, or from an exported folder: every entry, every tile, the head',
    )
  addTrustOptions(command)
    .option('--state <file>', 'save the progress there, and continue from it')
    .option('--pinned <checkpoint file>', 'an older checkpoint, which the log must extend')
    .option('--second-opinion', 'have every full tile hashed again by merkletreejs and @noble/hashes')
    .addOption(
      new Option(
        '--encoding <how>',
        'request entries compressed or not; identity is faster above about 300 Mbit/s (default: gzip, or identity for this machine)',
      ).choices(['gzip', 'identity']),
    )
    .addHelpText(
      'after',
      `
The target is the URL of any tlog-tiles log, or a folder that "stele export" wrote. Without one: --url.
${examples(
  ['stele audit https://log.example.com/logs/main --key <vkey> --state audit.json', 'can be interrupted'],
  [
    'stele audit ./public --key <vkey> --pinned old-checkpoint',
    'check that the log extends an older checkpoint',
  ],
)}
With the key of a mirror (type 0x04) and --origin, the mirror's copy of that log is audited.
${COPIES_HELP.trim()}
Exit codes: 0 the log is intact; 1 damage was found; 16 the log does not extend the pinned head; 17 it is smaller than that
head, or than at the last audit; 40 the log is intact, but the state could not be saved; any other: not checked.
`,
    )
    .action(actions.of(audit))
}

async function audit(context: Context, options: AuditOptions, target?: string): Promise<number> {
  const at = target ?? context.url
  const { files, trust } = await sourceOf(context, at, options.encoding)
  const { origin, verifiers: verifierKeys, policy, ofMirror } = trust
  const pinned = await pinnedOf(context, options, trust)
  const state = await stateOf(context, options, origin)
  const findings = new Findings(at)
  const from = state?.from
  const report = await auditInto(
    findings,
    context.terminal,
    {
      files,
      origin,
      verifierKeys,
      policy,
      ofMirror,
      partialTiles: 'stored',
      from,
      onProgress: ({ tree }) => state?.saver.offer(tree),
    },
    options.secondOpinion ?? false,
  )
  if (pinned && report?.verdict === 'intact') {
    const { checkPinned } = await import('../audit/pinned.ts')
    await checkPinned(findings, files, report.checkpoint, pinned)
  } else if (pinned) {
    findings.notChecked.push('whether the log extends the kept head: the log is damaged')
  }
  findings.notChecked.push(pinned || from ? OTHERS_SEE : ONE_HISTORY)
  const unsaved = await state?.saver.finish(report?.tree)
  await printReport(context.terminal, findings.report())
  return exitCode(findings, unsaved)
}

// "Intact" must not suggest more than one log can show: no party notices these attacks (unseen-fork, unseen-rollback).
const ONE_HISTORY =
  'that this is the only history, and that no entries were removed from its end: one log alone cannot show it. Compare ' +
  'with a checkpoint kept by another party (--pinned), or require heads that witnesses cosigned'
const OTHERS_SEE =
  'that others are shown the same history: compare with their heads, or require heads that witnesses cosigned'

function exitCode({ findings }: Findings, unsaved: SteleError | undefined): number {
  if (findings.some(({ kind }) => kind === 'fork')) return EXIT_CODES.fork
  if (findings.some(({ kind }) => kind === 'rolled_back')) return EXIT_CODES.rolled_back
  if (findings.length > 0) return EXIT_DAMAGED
  return unsaved ? EXIT_CODES[unsaved.code] : EXIT_OK
}

async function sourceOf(
  context: Context,
  target: string,
  encoding: Encoding | undefined,
): Promise<{ files: LogFiles; trust: Trust }> {
  if (/^https?:\/\//.test(target)) {
    const { servedFiles } = await import('../files/served-files.ts')
    const files = servedFiles(target, await context.headersForCopies([target]), encoding)
    return { files, trust: await context.trust(target, { mirrors: true }) }
  }
  if (existsSync(join(target, 'checkpoint')))
    return { files: new FolderFiles(target), trust: await context.trust(undefined, { mirrors: true }) }
  const expected = 'expected a URL, or a folder with a file "checkpoint" in it'
  const hint = existsSync(join(target, 'stele.json')) ? '; a data folder is checked by "stele fsck"' : ''
  throw new SteleError('not_found', `audit: ${expected}, got "${target}"${hint}`)
}

async function pinnedOf({ io }: Context, { pinned }: AuditOptions, trust: Trust) {
  if (pinned === undefined) return undefined
  const { openPinned } = await import('../audit/pinned.ts')
  return openPinned(decodeUtf8(await readInput(pinned, io), pinned), trust)
}

async function stateOf({ terminal }: Context, { state }: AuditOptions, origin: string) {
  if (state === undefined) return undefined
  const [{ readAuditState }, { AuditSaver }] = await Promise.all([
    import('../audit/state.ts'),
    import('../audit/saver.ts'),
  ])
  const from = await readAuditState(state, origin)
  const warn = (error: SteleError): void => terminal.warn(`the state is not saved: ${error.message}`)
  return { from, saver: new AuditSaver(state, origin, warn) }
}
