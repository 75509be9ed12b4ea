import { Actions } from './action.ts'
import type { Io } from './io.ts'
import { createProgram } from './program.ts'
import { reportError } from './report.ts'

/**
 * Runs one command line.
 *
 * @param args without the names of node and of the script
 * @returns the exit code; errors have been written to standard error
 */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const actions = new Actions(io)
  try {
    await createProgram(actions, io).parseAsync(args, { from: 'user' })
    return actions.exitCode
  } catch (error) {
    return reportError(error, io)
  }
}
