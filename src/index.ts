/**
 * `stele`: keep transparency logs inside a program of your own. Needs Node. What talks to a log is in `stele/client`, what verifies
 * in `stele/verify`, and the formats are in `stele/formats`; `proto-docs/embedding.md` shows how they are used.
 */
export { hasCode, SteleError } from './errors.ts'
export type { Acknowledged, ErrorCode, SteleErrorOptions } from './errors.ts'

// A log of a data folder.
export { openLog } from './server/embedded-log.ts'
export type { LogTuning, OpenLogOptions } from './server/embedded-log.ts'
export type { Appended, Log, LogOptions, LogParts, LogStatus } from './log/log.ts'
export type { FinalRecord, Head, SignedHead } from './log/head.ts'
export type { FreezeRequest, LifecycleState } from './log/lifecycle.ts'
export type { Placement, PoolLimits } from './log/admission.ts'
export { checkedEntries } from './log/checked-entries.ts'
export type { CheckedEntry } from './log/checked-entries.ts'
export type { Hash } from './merkle/hash.ts'
export type { TileId } from './tile/path.ts'
export { listLogs, readLogInfo } from './instance/data-folder.ts'
export type { LogInfo, LogKey } from './instance/data-folder.ts'

// A server.
export { createServer } from './server/start.ts'
export type { RunningServer } from './server/start.ts'
export type { Config } from './config/config.ts'
export { loadConfig } from './config/config.ts'
export type { OptionSources } from './config/options.ts'
export type { Logger, ServerLogger } from './http/logger.ts'
export type { HostedKey, HostedLog, KeyMoment, LogDirectory } from './instance/directory.ts'
export { initAccess } from './instance/access-files.ts'
export type { LogAccess } from './access/caller.ts'
export type { MadeKey } from './access/keyring.ts'
export type { KeyInfo, KeyState } from './access/key-record.ts'

// A log over other storage.
export { openLogOn } from './server/embedded-log.ts'
export type { LogStorage } from './server/embedded-log.ts'
export { beginLog } from './log/open.ts'
export { checkRepair, checkStep, DamagedFileError } from './storage/store.ts'
export type {
  CheckedFiles,
  Commit,
  EntryRepair,
  FileFault,
  FullTileId,
  Inspected,
  LogStore,
  Repair,
  StoredHead,
  StoredId,
  TileRepair,
} from './storage/store.ts'
export type { FullTile } from './tile/grow.ts'
export { LevelStore } from './storage/level.ts'
export type { LevelStoreOptions } from './storage/level.ts'
export { MemoryStore } from './storage/memory.ts'
export { createHeadFile, openHeadFile } from './storage/head-file.ts'
export type { HeadFile, HeadRecords } from './storage/head-file.ts'
export { LevelLeafIndex, MemoryLeafIndex } from './storage/leaf-index.ts'
export type { CheckedIndexFiles, IndexedLeaf, LeafIndex } from './storage/leaf-index.ts'
export { generateLogKeys, keySigner } from './instance/keys.ts'
export type { LogKeys } from './instance/keys.ts'
export type { HeadSigner } from './log/signer.ts'
