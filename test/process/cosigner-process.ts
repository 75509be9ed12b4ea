import type { CosignerKind } from '../../src/witness/cosigner-folder.ts'
import { ListeningProcess } from '../support/process.ts'

/** A witness or a mirror in a process of its own, for callers in a hurry. */
export class CosignerProcess extends ListeningProcess {
  constructor(folder: string, kind: CosignerKind = 'witness', flags: readonly string[] = []) {
    const many = ['--requests-per-second', '1000000', '--request-burst', '1000000']
    super([kind, 'serve', '--data', folder, '--port', '0', ...many, ...flags])
  }
}
