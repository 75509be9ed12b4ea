/** Receives the HTTP layer's log lines; a pino logger fits. */
export interface Logger {
  info?(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** Discards everything. */
export const SILENT: Logger = { warn() {}, error() {} }
