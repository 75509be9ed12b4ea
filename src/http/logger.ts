/** Receives the HTTP layer's log lines; a pino logger fits. */
export interface Logger {
  info?(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** Where a server writes about itself; a pino logger fits. Each call is one event: its fields, and a message for people. */
export interface ServerLogger extends Logger {
  info(fields: object, message: string): void
}

/** Says nothing. */
export const SILENT: ServerLogger = { info() {}, warn() {}, error() {} }
