import { join } from 'node:path'
import type { CosignerKeyType } from '../note/key-id.ts'
import { createWitnessState, type StatePaths } from './level.ts'
import {
  cosignerFiles,
  createCosignerFolder,
  type CosignerFiles,
  type CosignerInfo,
} from './cosigner-folder.ts'

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
export interface WitnessFiles extends CosignerFiles {
  readonly state: StatePaths
}

/** Where the files of a witness are. */
export function witnessFiles(folder: string): WitnessFiles {
  return {
    ...cosignerFiles(folder),
    state: { database: join(folder, 'database'), headFile: join(folder, 'head') },
  }
}

/** Makes a witness that has signed nothing. Throws as `createCosignerFolder`. */
export function createWitness(
  folder: string,
  name: string,
  types: readonly CosignerKeyType[],
  nowMs = Date.now(),
): Promise<CosignerInfo> {
  const fill = (): Promise<void> => createWitnessState(witnessFiles(folder).state)
  return createCosignerFolder({ kind: 'witness', folder, name, types, nowMs, fill })
}
