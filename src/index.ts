/**
 * The parts of a server, for whoever runs a log inside a program of their own. What talks to a log, and everything that
 * verifies, is in `stele/client`.
 */
export { hasCode, SteleError, type ErrorCode } from './errors.ts'
export type { FinalRecord, Head, SignedHead } from './log/head.ts'
export type { Placement, PoolLimits } from './log/admission.ts'
export { Log, type Appended, type LogOptions, type LogParts, type LogStatus } from './log/log.ts'
export { openLog } from './log/open.ts'
export type { HeadSigner } from './log/signer.ts'
export { createHandler, type Handler } from './http/app.ts'
export type { HttpDeps } from './http/deps.ts'
export type { HostedLog, LogDirectory } from './instance/directory.ts'
export { DEFAULT_HTTP_LIMITS, type HttpLimits } from './http/limits.ts'
export { createHttpServer } from './http/server.ts'
export { loadConfig, type Config } from './config/config.ts'
export { addKey, retireKey, rotateKey, type KeyChange } from './instance/change-keys.ts'
export { freezeLog, freezeStoredLog, type Frozen } from './instance/freeze.ts'
export { rollOver } from './instance/rollover.ts'
export type { FreezeRequest } from './log/lifecycle.ts'
export { createLog, initDataFolder, listLogs, readLogInfo, type LogInfo } from './instance/data-folder.ts'
export { Host } from './instance/host.ts'
export type { HostEvents, HostOptions } from './instance/host.ts'
export { keySigner, type LogKeys } from './instance/keys.ts'
export { openStoredLog, type LogSettings } from './instance/open-log.ts'
export { startServer, type RunningServer } from './server/start.ts'
export {
  createHeadFile,
  openHeadFile,
  readHeadFile,
  type HeadFile,
  type HeadRecords,
} from './storage/head-file.ts'
export { LevelLeafIndex, MemoryLeafIndex, type LeafIndex } from './storage/leaf-index.ts'
export { LevelStore } from './storage/level.ts'
export { MemoryStore } from './storage/memory.ts'
export type { Commit, LogStore, StoredHead } from './storage/store.ts'
