import { rm } from 'node:fs/promises'
import { replaceFile } from '../storage/files.ts'
import type { WitnessKey } from './keys.ts'
import { cosignerFiles, readCosignerInfo, readCosignerKeys, type CosignerKind } from './cosigner-folder.ts'
import type { ServerLog } from '../http/server-log.ts'
import { EvidenceFolder } from './evidence-folder.ts'

/** A witness or a mirror that runs. */
export interface RunningCosigner {
  /** Where it listens, without a trailing slash. */
  readonly url: string
  /** Those that there are now. */
  readonly logs: readonly { readonly origin: string }[]
  /** Reads the list of logs again. What is wrong with it is told in the log, and changes nothing. Never rejects. */
  reload(): Promise<void>
  /** Stops: what was begun ends, then connections and state are closed. */
  close(): Promise<void>
}

/**
 * Says in the folder where the process listens that has it open, for commands of the same machine. That it cannot be said
 * stops nothing.
 *
 * @param url undefined once it does not listen any more
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
