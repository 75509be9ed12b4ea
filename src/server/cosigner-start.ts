import { verifiersOf, type WitnessKey } from '../witness/keys.ts'
import { cosignerFiles, readCosignerInfo, readCosignerKeys, type CosignerKind } from './cosigner-folder.ts'
import { readLogList, type ListedLog } from './log-list.ts'
import { EvidenceFolder } from './witness-evidence.ts'

/** A witness or a mirror that runs. */
export interface RunningCosigner {
  /** Where it listens, without a trailing slash. */
  readonly url: string
  readonly logs: readonly { readonly origin: string }[]
  /** Stops: what was begun ends, then connections and state are closed. */
  close(): Promise<void>
}

/** What a witness and a mirror know before they open their state. */
export interface OpenedFolder {
  readonly keys: readonly WitnessKey[]
  readonly logs: readonly ListedLog[]
  readonly evidence: EvidenceFolder
}

/**
 * Opens what every cosigner's folder has.
 *
 * @throws SteleError as `readCosignerInfo`, `readCosignerKeys` and `readLogList`
 */
export async function openCosignerFolder(kind: CosignerKind, folder: string): Promise<OpenedFolder> {
  const files = cosignerFiles(folder)
  const keys = await readCosignerKeys(folder, await readCosignerInfo(kind, folder))
  const logs = await readLogList(files.logs, verifiersOf(keys), kind)
  return { keys, logs, evidence: await EvidenceFolder.open(files.evidence) }
}
