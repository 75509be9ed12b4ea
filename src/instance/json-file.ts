import { SteleError } from '../errors.ts'

/** What a file of ours says. @param where names the file @throws SteleError `foreign_format` for what is no JSON */
export function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new SteleError('foreign_format', `${where}: expected JSON: ${(cause as Error).message}`, { cause })
  }
}

/** A value as the text of a file, for people too. */
export function formatJson(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`
}
