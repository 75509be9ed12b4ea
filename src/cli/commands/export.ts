import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { toHex } from '../../bytes/hex.ts'
import { SteleError } from '../../errors.ts'
import type { LogFiles } from '../../client/http-files.ts'
import type { VerifierKey } from '../../note/note.ts'
import { type Actions, examples } from '../action.ts'
import { PATIENCE_MS, type Context } from '../context.ts'
import { exportLog } from '../export/exporter.ts'
import { FolderTarget } from '../export/target.ts'
import { counted, formatCount } from '../output/units.ts'

interface ExportCommandOptions {
  readonly log: string
  readonly origin?: string
}

/** `stele export`: writes a log as static files. */
export function exportCommand(program: Command, actions: Actions): void {
  program
    .command('export <folder>')
    .description('write a log as a folder of static tlog-tiles files, which any web server can serve')
    .option('--log <name>', 'which log of the data folder', 'main')
    .option('--origin <text>', 'with --url: origin of the log (default: the name of the key)')
    .addHelpText(
      'after',
      `
Reads the data folder (the server must be stopped), or with --url any tlog-tiles log. Run it again to update the folder,
or after an interruption: existing files are kept.
${examples(
  ['stele export ./public --url http://127.0.0.1:6962/logs/main', 'from a log that is being served'],
  ['stele fsck ./public --key log.example.com/logs/main+a3b1+AZ…', 'check the result'],
)}`,
    )
    .action(actions.of(exportTo))
}

interface Source {
  readonly files: LogFiles
  readonly origin: string
  readonly verifierKeys: readonly VerifierKey[]
  close(): Promise<void>
}

async function exportTo(context: Context, options: ExportCommandOptions, folder: string): Promise<void> {
  const { terminal } = context
  if (existsSync(join(folder, 'stele.json'))) {
    throw new SteleError('usage', `${folder}: this is a data folder; expected one for static files`)
  }
  const source = await openSource(context, options)
  const bar = terminal.progress('files')
  try {
    const onProgress = (done: number, total: number): void => bar.at(done, '', total)
    const { checkpoint, written, kept } = await exportLog({
      ...source,
      target: new FolderTarget(folder),
      onProgress,
    })
    bar.end()
    await terminal.result(
      {
        folder,
        origin: source.origin,
        treeSize: checkpoint.size,
        rootHash: toHex(checkpoint.root),
        written,
        kept,
      },
      `${folder}: ${source.origin} at size ${formatCount(checkpoint.size)}, ${counted(written, 'file')} written, ` +
        `${formatCount(kept)} kept`,
    )
  } finally {
    bar.end()
    await source.close()
  }
}

async function openSource(context: Context, { log, origin }: ExportCommandOptions): Promise<Source> {
  const { explicitUrl } = context
  if (explicitUrl !== undefined) {
    const { HttpFiles } = await import('../../client/http-files.ts')
    const verifierKey = await context.keyFor(explicitUrl)
    const files = new HttpFiles(
      explicitUrl,
      { headers: await context.headers() },
      { deadlineMs: PATIENCE_MS },
    )
    const verifierKeys = await context.following(verifierKey, origin)
    return { files, origin: origin ?? verifierKey.name, verifierKeys, close: async () => {} }
  }
  const { StoredLog } = await import('../files/stored-log.ts')
  const stored = await StoredLog.open(context.data, log)
  const { files, info, everyVerifier } = stored
  return { files, origin: info.origin, verifierKeys: everyVerifier, close: () => stored.close() }
}
