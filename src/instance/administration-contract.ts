import type { FreezeRequest } from '../log/lifecycle.ts'
import type { SignedHead } from '../log/head.ts'
import type { HostedKey } from './directory.ts'

/** What a log is to be. */
export interface WantedLog {
  readonly name: string
  /** Without one it follows from where others reach the server. */
  readonly origin?: string | undefined
  readonly allowDuplicates: boolean
  readonly reads: 'public' | 'private'
  readonly heads: 'open' | 'closed'
}

/** What became of a key of a log. */
export interface ChangedKey {
  readonly key: HostedKey
  /** Signed notes: what old keys say of the new one. */
  readonly statements: readonly string[]
}

/**
 * Changes the logs of an instance. Each method writes down what is about to change, by whom, before it changes anything,
 * and throws `untraceable` where that cannot be written. Whether somebody may is decided before.
 */
export interface LogAdministration {
  /** The log is there, and served, once this resolves. */
  createLog(by: string, wanted: WantedLog): Promise<unknown>
  freeze(by: string, name: string, request: FreezeRequest): Promise<{ head: SignedHead; published: boolean }>
  addKey(by: string, name: string, algorithm: 'ed25519' | 'ml-dsa-44'): Promise<ChangedKey>
  rotateKey(
    by: string,
    name: string,
    wanted: { readonly keyId?: string | undefined; readonly overlapSeconds?: number | undefined },
  ): Promise<ChangedKey>
  retireKey(by: string, name: string, keyId: string, beforeOverlapEnds: boolean): Promise<ChangedKey>
  /** @param text undefined: the log waits for no witnesses any more */
  setPolicy(by: string, name: string, text: string | undefined): Promise<void>
  policy(name: string): Promise<string | undefined>
  setAccess(
    by: string,
    name: string,
    wanted: { readonly reads?: 'public' | 'private'; readonly heads?: 'open' | 'closed' },
  ): Promise<{ readonly reads: 'public' | 'private' | 'meta'; readonly heads: 'open' | 'closed' }>
}
