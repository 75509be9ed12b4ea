import { CommanderError } from 'commander'
import { SteleError, type ErrorCode } from '../errors.ts'
import { visibleText } from '../bytes/visible.ts'
import { isSystemError } from '../storage/files.ts'
import { EXIT_CODES, EXIT_OK } from './exit-codes.ts'
import type { Io } from './io.ts'
import { indented } from './output/terminal.ts'

/**
 * Writes an error to standard error, in one or a few lines. A stack trace is written only with STELE_DEBUG=1.
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

/** A system error without a better message is not a bug. Its own message names the path. */
function codeOf(error: unknown): ErrorCode {
  if (error instanceof SteleError) return error.code
  return isSystemError(error) ? 'io_error' : 'internal'
}

/** Commander has already written its message. A request for help or for the version is not an error. */
function commanderCode({ code, exitCode }: CommanderError): number {
  const asked = exitCode === 0 || code === 'commander.helpDisplayed' || code === 'commander.version'
  return asked ? EXIT_OK : EXIT_CODES.usage
}

function describeBug(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  return `${message}\nstele: this is a bug in stele. Please report it, with the output of the same command under STELE_DEBUG=1`
}

function stacksOf(error: unknown): string {
  const stacks: string[] = []
  for (let at = error; at instanceof Error; at = at.cause) stacks.push(at.stack ?? at.message)
  return stacks.join('\ncaused by: ')
}
