import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { CosignerKey } from '../note/cosigner.ts'
import type { CosignerKeyType } from '../note/key-id.ts'
import { writeNewFile } from '../storage/files.ts'
import { createWitnessState, type StatePaths } from '../witness/level.ts'
import {
  createCosignerFolder,
  infoFile,
  readCosignerInfo,
  readCosignerKeys,
  type CosignerInfo,
} from './cosigner-folder.ts'
import { formatLogList } from './log-list.ts'

/*
 * A witness folder:
 *
 *   witness.json      format, version, name, public keys
 *   ed25519.skey      private key, mode 600
 *   ml-dsa-44.skey    private key, mode 600
 *   logs.json         the logs that it cosigns for
 *   database/         LevelDB: the checkpoint that was cosigned last for each log
 *   head              how many batches were written there, in a second place
 *   evidence/         signed checkpoints that contradict each other
 */

/** The files of a witness. */
export interface WitnessFiles {
  readonly info: string
  readonly logs: string
  readonly state: StatePaths
  readonly evidence: string
}

/** Where the files of a witness are. */
export function witnessFiles(folder: string): WitnessFiles {
  return {
    info: infoFile('witness', folder),
    logs: join(folder, 'logs.json'),
    state: { database: join(folder, 'database'), headFile: join(folder, 'head') },
    evidence: join(folder, 'evidence'),
  }
}

/** Makes a witness: keys, an empty list of logs, a state in which nothing was signed. Throws as `createCosignerFolder`. */
export function createWitness(
  folder: string,
  name: string,
  types: readonly CosignerKeyType[],
  nowMs = Date.now(),
): Promise<CosignerInfo> {
  const { logs, evidence, state } = witnessFiles(folder)
  const fill = async (): Promise<void> => {
    await writeNewFile(logs, formatLogList([]))
    await mkdir(evidence)
    await createWitnessState(state)
  }
  return createCosignerFolder({ kind: 'witness', folder, name, types, nowMs, fill })
}

/** What a witness is. Throws as `readCosignerInfo`. */
export function readWitnessInfo(folder: string): Promise<CosignerInfo> {
  return readCosignerInfo('witness', folder)
}

/** Its private keys. Throws as `readCosignerKeys`. */
export function readWitnessKeys(folder: string, info: CosignerInfo): Promise<CosignerKey[]> {
  return readCosignerKeys(folder, info)
}
