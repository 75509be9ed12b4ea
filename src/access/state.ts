import * as z from 'zod'
import { SteleError } from '../errors.ts'
import { keyRecordSchema, type KeyRecord } from './key-record.ts'

/** The stored API keys of an instance: one small file, replaced as a whole. */
export const accessStateSchema = z.strictObject({
  format: z.literal('stele access'),
  version: z.literal(1),
  /** All keys ever made. Revoked and expired ones stay, since the meta log mentions their ids. */
  keys: z.array(keyRecordSchema),
})
export type AccessState = z.infer<typeof accessStateSchema>

/** The state of an instance with these keys. */
export function accessState(keys: readonly KeyRecord[]): AccessState {
  return { format: 'stele access', version: 1, keys: [...keys] }
}

/** @throws SteleError `foreign_format` for text that is not a stored state */
export function parseAccessState(text: string, where: string): AccessState {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new SteleError('foreign_format', `${where}: expected JSON: ${(error as Error).message}`)
  }
  const parsed = accessStateSchema.safeParse(value)
  if (!parsed.success) throw new SteleError('foreign_format', `${where}: ${z.prettifyError(parsed.error)}`)
  return parsed.data
}

export function formatAccessState(state: AccessState): string {
  return `${JSON.stringify(state, null, 2)}\n`
}
