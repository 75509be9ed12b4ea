import { CommanderError } from 'commander'
import { SteleError, type ErrorCode } from '../errors.ts'
import { visibleText } from '../bytes/visible.ts'
import { isSystemError } from '../storage/files.ts'
import { EXIT_CODES, EXIT_OK } from './exit-codes.ts'
import type { Io } from './io.ts'
import { indented } from './output/terminal.ts'

/**
 * Says on standard error what went wrong, in one line or a few, and never with a stack trace unless STELE_DEBUG=1.
 *
 * @returns the exit code
 */
export function reportError(error: unknown, io: Io): number {
  if (error instanceof CommanderError) return commanderCode(error)
  const code = codeOf(error)
  const known = code !== 'internal' && error instanceof Error
  io.stderr.write(visibleText(`stele: ${indented(known ? error.message : describeBug(error))}\n`))
  if (io.env['STELE_DEBUG'] === '1') io.stderr.write(visibleText(`${stacksOf(error)}\n`))
  return EXIT_CODES[code]
}

/** A disk that fails where no other words were found for it is no bug; the system's own words name the path. */
function codeOf(error: unknown): ErrorCode {
  if (error instanceof SteleError) return error.code
  return isSystemError(error) ? 'io_error' : 'internal'
}

/** Commander has written its message already; asking for help or for the version is no mistake. */
function commanderCode({ code, exitCode }: CommanderError): number {
  const asked = exitCode === 0 || code === 'commander.helpDisplayed' || code === 'commander.version'
  return asked ? EXIT_OK : EXIT_CODES.usage
}

function describeBug(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  return `${message}\nstele: this is a bug in stele. With STELE_DEBUG=1 it says where it happened; please report that`
}

function stacksOf(error: unknown): string {
  const stacks: string[] = []
  for (let at = error; at instanceof Error; at = at.cause) stacks.push(at.stack ?? at.message)
  return stacks.join('\ncaused by: ')
}
