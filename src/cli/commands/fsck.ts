import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { SteleError } from '../../errors.ts'
import type { Trust } from '../../policy/evaluate.ts'
import type { LogFiles } from '../../client/http-files.ts'
import { type Actions, examples } from '../action.ts'
import { addTrustOptions, type Context } from '../context.ts'
import { EXIT_DAMAGED, EXIT_OK } from '../exit-codes.ts'
import { COPIES_HELP } from '../files/secret-file.ts'
import { FolderFiles } from '../files/folder-files.ts'
import { auditInto } from '../fsck/audit.ts'
import { Findings, printReport, type FsckReport } from '../fsck/report.ts'

interface FsckOptions {
  readonly secondOpinion?: boolean
  readonly rebuildIndex?: boolean
}

/** `stele fsck`: recomputes and checks a whole log. */
export function fsckCommand(program: Command, actions: Actions): void {
  const command = program
    .command('fsck [target]')
    .description(
      'recompute all hashes of a log and compare them with the signed head; names the first damage',
    )
  addTrustOptions(command)
    .option('--second-opinion', 'have every full tile hashed again by merkletreejs and @noble/hashes')
    .option('--rebuild-index', 'rebuild the leaf index of a data folder')
    .addHelpText(
      'after',
      `
The target is a data folder (all its logs), the name of a log in --data, the URL of any tlog-tiles log, or a folder
that "stele export" wrote. Without one: --url if it is given, else the data folder. --origin and --policy are for URLs and
exported folders. With the key of a mirror (type 0x04) and --origin, the mirror's copy of that log is checked.
${examples(
  ['stele fsck', 'all logs of ./data; the server must be stopped'],
  ['stele fsck --url http://127.0.0.1:6962/logs/main', 'a log that is being served'],
  ['stele fsck ./public --key log.example.com/logs/main+a3b1+AZ…', 'an exported folder'],
)}
${COPIES_HELP.trim()}
Exit codes: 0 everything checked is intact (warnings may be printed); 1 damage was found; any other: not checked.
`,
    )
    .action(actions.of(fsck))
}

async function fsck(context: Context, options: FsckOptions, target?: string): Promise<number> {
  let damaged = false
  for await (const report of reportsOf(context, options, target ?? context.explicitUrl ?? context.data)) {
    await printReport(context.terminal, report)
    damaged ||= report.verdict === 'damaged'
  }
  return damaged ? EXIT_DAMAGED : EXIT_OK
}

async function* reportsOf(
  context: Context,
  options: FsckOptions,
  target: string,
): AsyncGenerator<FsckReport> {
  if (/^https?:\/\//.test(target)) {
    const { servedFiles } = await import('../files/served-files.ts')
    const files = servedFiles(target, await context.headersForCopies([target]))
    yield fsckFiles(context, options, target, files, await context.trust(target, { mirrors: true }))
  } else if (existsSync(join(target, 'stele.json'))) {
    yield* fsckDataFolder(context, options, target)
  } else if (existsSync(join(target, 'checkpoint'))) {
    const trust = await context.trust(undefined, { mirrors: true })
    yield fsckFiles(context, options, target, new FolderFiles(target), trust)
  } else if (existsSync(join(context.data, 'logs', target))) {
    yield fsckLog(context, options, context.data, target)
  } else {
    throw new SteleError(
      'not_found',
      `fsck: expected a data folder, an exported folder, a URL or the name of a log in ${context.data}, got "${target}"`,
    )
  }
}

async function* fsckDataFolder(
  context: Context,
  options: FsckOptions,
  folder: string,
): AsyncGenerator<FsckReport> {
  const { listLogs } = await import('../../instance/data-folder.ts')
  const names = await listLogs(folder)
  if (names.length === 0) throw new SteleError('not_initialised', `${folder}: there is no log in it`)
  for (const name of names) yield fsckLog(context, options, folder, name)
}

async function fsckLog(
  { terminal }: Context,
  options: FsckOptions,
  folder: string,
  name: string,
): Promise<FsckReport> {
  const { fsckStored } = await import('../fsck/stored.ts')
  const { secondOpinion = false, rebuildIndex = false } = options
  return fsckStored(terminal, folder, name, { secondOpinion, rebuildIndex })
}

async function fsckFiles(
  context: Context,
  { secondOpinion = false, rebuildIndex }: FsckOptions,
  target: string,
  files: LogFiles,
  { origin, verifiers: verifierKeys, policy, ofMirror }: Trust,
): Promise<FsckReport> {
  if (rebuildIndex) throw new SteleError('usage', '--rebuild-index: only a data folder has a leaf index')
  const findings = new Findings(target)
  const audited = { files, origin, verifierKeys, policy, ofMirror, partialTiles: 'stored' as const }
  await auditInto(findings, context.terminal, audited, secondOpinion)
  return findings.report()
}
