/** Where the HTTP layer reports what went wrong; a pino logger fits. */
export interface Logger {
  info?(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** Says nothing. */
export const SILENT: Logger = { warn() {}, error() {} }
