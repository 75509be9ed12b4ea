import type { VerifierKey } from '../note/note.ts'
import type { Policy } from '../policy/policy.ts'
import type { TransportOptions } from './transport.ts'
import type { TileCache } from './verified-tiles.ts'

/** Which log, and how to talk to it. */
export interface LogClientOptions extends TransportOptions {
  /** The log's prefix, for example `http://127.0.0.1:6962/logs/demo/`. */
  readonly url: string
  /** The log's key or keys, from a source that the caller trusts, not from the log itself. */
  readonly verifierKey: string | VerifierKey | readonly (string | VerifierKey)[]
  /** Rotation statements as served by `v1/keys/rotations`. The keys that they lead to are trusted too. */
  readonly rotations?: string | undefined
  /** First line of the log's checkpoints. Default: the name of its (first) key. */
  readonly origin?: string | undefined
  /** Whose cosignatures every checkpoint must carry (c2sp.org/tlog-policy). Its `log` lines do not count. */
  readonly policy?: Policy | undefined
  /** A signed checkpoint that was verified in an earlier run: what the log shows now must extend it. */
  readonly known?: string | undefined
  readonly cache?: TileCache | undefined
  /**
   * The longest that one call takes in all, however often it tries again while the log cannot be reached or asks for
   * patience, in milliseconds; `entries` and `follow` count it for each question. Default 10,000; 0: no second try.
   */
  readonly deadlineMs?: number | undefined
}

/** What a single call may be told. */
export interface CallOptions {
  /** Instead of the client's. */
  readonly deadlineMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** What a call that appends may be told. */
export interface AppendOptions extends CallOptions {
  /**
   * Whether to send again after a failure that leaves open if the entry was logged. Default: only if the log says
   * that it keeps no duplicates, since otherwise the entry could end up in it twice.
   */
  readonly repeatInDoubt?: boolean | undefined
}

/** What a call that appends many entries may be told. */
export interface BatchOptions extends AppendOptions {
  /** Whether the receipt is to hold a proof file for each entry. Default: no. */
  readonly proofs?: boolean | undefined
}
