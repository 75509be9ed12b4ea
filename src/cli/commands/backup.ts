import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { toHex } from '../../bytes/hex.ts'
import { SteleError } from '../../errors.ts'
import { type Actions, examples } from '../action.ts'
import type { Context } from '../context.ts'
import type { ExportTarget } from '../export/target.ts'
import { counted, formatBytes, formatCount } from '../output/units.ts'

interface BackupOptions {
  readonly all?: boolean
  readonly to?: string
  readonly tar?: string
  readonly withKeys?: boolean
}

/** `stele backup`: a copy from which a log can be restored. */
export function backupCommand(program: Command, actions: Actions): void {
  program
    .command('backup [log]')
    .description('save a log, also while it is served, as static files that can be verified and restored')
    .option('--all', 'all logs of the data folder, each in a folder of its name, and access.json')
    .option(
      '--to <folder>',
      'the target folder; files of an earlier backup are kept, and only new ones are written',
    )
    .option('--tar <file>', 'a tar stream instead; only "-", standard output')
    .option('--with-keys', "the log's private keys too, in files that only their owner can read")
    .addHelpText(
      'after',
      `
A backup has the files of "stele export" (c2sp.org/tlog-tiles), and those that a restore needs: stele-backup.json,
log.json, the policy. While a server has the log open, the log is read over HTTP, from --url or this machine's port 6962.
A private log then requires a key that may read it in STELE_API_KEY; the meta log requires an auditor's key.
New files become valid together: after an interruption the previous backup is still valid. Run the command again.
${examples(
  ['stele backup main --to /backup/main --with-keys', 'every hour; the server keeps running'],
  ['stele fsck /backup/main --key <vkey>', 'verify the backup'],
  ['stele backup main --tar - | zstd > main.tar.zst', 'as one file'],
)}`,
    )
    .action(actions.of(backup))
}

async function backup(context: Context, options: BackupOptions, log?: string): Promise<void> {
  const { all = false, to, tar } = options
  if ((log === undefined) === !all)
    throw new SteleError('usage', 'backup: expected the name of a log, or --all')
  if ((to === undefined) === (tar === undefined)) {
    throw new SteleError('usage', 'backup: expected --to <folder>, or --tar -')
  }
  if (tar !== undefined) return backupTar(context, options, log)
  if (existsSync(join(to!, 'stele.json'))) {
    throw new SteleError('usage', `${to}: this is a data folder; expected one for backups`)
  }
  const { FolderTarget } = await import('../export/target.ts')
  if (log !== undefined) return saveTo(context, options, log, context.explicitUrl, new FolderTarget(to!))
  const { listLogs } = await import('../../instance/data-folder.ts')
  for (const name of await listLogs(context.data)) {
    await saveTo(context, options, name, urlOf(context, name), new FolderTarget(join(to!, name)))
  }
  await saveAccess(context, new FolderTarget(to!))
}

/**
 * access.json holds hashes of keys, from which the keys cannot be recovered. It is saved after the logs, so that it
 * includes the newest revocations.
 */
async function saveAccess({ data, terminal }: Context, target: ExportTarget): Promise<void> {
  const { accessPath } = await import('../../instance/access-files.ts')
  const { readTextFile } = await import('../../storage/files.ts')
  const text = await readTextFile(accessPath(data))
  if (text === undefined) return
  await target.write('access.json', text, 0o600)
  await target.sync()
  terminal.note(`access.json: saved to ${target.name}`)
}

/** The URLs of other logs of a server, derived from the URL of one. */
function urlOf({ explicitUrl }: Context, name: string): string | undefined {
  return explicitUrl && `${explicitUrl.replace(/\/logs\/[^/]+\/?$/, '').replace(/\/$/, '')}/logs/${name}`
}

async function backupTar(context: Context, options: BackupOptions, log: string | undefined): Promise<void> {
  if (options.tar !== '-') throw new SteleError('usage', '--tar: expected "-", which is standard output')
  if (log === undefined) throw new SteleError('usage', '--tar: expected the name of one log')
  if (context.terminal.json) throw new SteleError('usage', '--tar: standard output cannot hold JSON as well')
  const { TarTarget } = await import('../backup/tar-target.ts')
  const target = new TarTarget((bytes) => context.terminal.data(bytes), new Date())
  await saveTo(context, options, log, context.explicitUrl, target)
  await target.finish()
}

async function saveTo(
  context: Context,
  { withKeys = false, tar }: BackupOptions,
  name: string,
  url: string | undefined,
  target: ExportTarget,
): Promise<void> {
  const { terminal } = context
  const { openBackupSource } = await import('../backup/source.ts')
  const { exportLog } = await import('../export/exporter.ts')
  const source = await openBackupSource(context, name, { withKeys, url })
  const bar = terminal.progress(name)
  try {
    const onProgress = (done: number, total: number): void => bar.at(done, '', total)
    const { checkpoint, written, bytes, kept } = await exportLog({ ...source, target, onProgress })
    bar.end()
    const { origin, from } = source
    const result = { log: name, from, to: target.name, origin, treeSize: checkpoint.size }
    const text =
      `${name}: saved at size ${formatCount(checkpoint.size)} to ${target.name}: ${counted(written, 'file')} ` +
      `(${formatBytes(bytes)}) written, ${formatCount(kept)} kept`
    if (tar !== undefined) terminal.note(text)
    else {
      const figures = { rootHash: toHex(checkpoint.root), written, bytes, kept, withKeys }
      await terminal.result({ ...result, ...figures }, text)
    }
  } finally {
    bar.end()
    await source.close()
  }
}
