import type { KeyInfo } from '../../access/key-record.ts'
import type { Keyring, MadeKey, NewKey } from '../../access/keyring.ts'
import { withOfflineAccess } from '../../server/offline.ts'

/**
 * The operator of the machine. They could change the files of the folder directly, but a change made with this command
 * is recorded.
 */
const HOST = { id: 'host', grants: 'host' } as const

/** The keys of a data folder while no server runs. Each call opens the folder, and records changes in its meta log. */
export function storedKeys(
  folder: string,
  maxKeyMs?: number,
): {
  create(wanted: NewKey): Promise<MadeKey>
  list(): Promise<readonly KeyInfo[]>
  rotate(id: string, overlapSeconds: number): Promise<MadeKey>
  revoke(id: string, cascade: boolean): Promise<KeyInfo>
} {
  const on = <T>(task: (keyring: Keyring) => T | Promise<T>): Promise<T> =>
    withOfflineAccess(folder, async ({ keyring }) => task(keyring), { maxKeyMs })
  return {
    create: (wanted) => on((keyring) => keyring.create(HOST, wanted)),
    list: () => on((keyring) => keyring.list(HOST)),
    rotate: (id, overlapSeconds) => on((keyring) => keyring.rotate(HOST, id, overlapSeconds * 1000)),
    revoke: (id, cascade) => on((keyring) => keyring.revoke(HOST, id, cascade)),
  }
}
