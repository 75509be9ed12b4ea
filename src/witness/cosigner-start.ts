import { rm } from 'node:fs/promises'
import { replaceFile } from '../storage/files.ts'
import type { WitnessKey } from './keys.ts'
import { cosignerFiles, readCosignerInfo, readCosignerKeys, type CosignerKind } from './cosigner-folder.ts'
import type { ServerLog } from '../http/server-log.ts'
import { EvidenceFolder } from './evidence-folder.ts'

/** A running witness or mirror. */
export interface RunningCosigner {
  /** Its URL, without a trailing slash. */
  readonly url: string
  /** Those that there are now. */
  readonly logs: readonly { readonly origin: string }[]
  /** Reads the list of logs again. An error in it is logged, and changes nothing. Never rejects. */
  reload(): Promise<void>
  /** Stops: requests in progress end, then connections and state are closed. */
  close(): Promise<void>
}

/**
 * Writes into the folder the URL at which the process serves it, for commands on the same machine. A failure is only
 * logged.
 *
 * @param url undefined once it no longer listens
 */
export async function sayServing(folder: string, url: string | undefined, logger: ServerLog): Promise<void> {
  const { serving } = cosignerFiles(folder)
  try {
    if (url === undefined) await rm(serving, { force: true })
    else await replaceFile(serving, `${url}\n`)
  } catch (error) {
    logger.warn({ err: error }, 'commands on this folder are not told where it is served')
  }
}

/**
 * Opens what the folder of every cosigner has, before its logs and its state.
 *
 * @throws SteleError as `readCosignerInfo` and `readCosignerKeys`; `io_error`
 */
export async function openCosignerFolder(
  kind: CosignerKind,
  folder: string,
): Promise<{ keys: readonly WitnessKey[]; evidence: EvidenceFolder }> {
  const keys = await readCosignerKeys(folder, await readCosignerInfo(kind, folder))
  return { keys, evidence: await EvidenceFolder.open(cosignerFiles(folder).evidence) }
}
