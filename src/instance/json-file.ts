import { SteleError } from '../errors.ts'

/** Parses a file of ours. @param where names the file @throws SteleError `foreign_format` if it is not JSON */
export function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new SteleError('foreign_format', `${where}: expected JSON: ${(cause as Error).message}`, { cause })
  }
}

/** A value as the text of a file, indented for people. */
export function formatJson(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`
}
