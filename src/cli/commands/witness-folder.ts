import type { Context } from '../context.ts'

const DEFAULT_WITNESS = 'witness'

/** The witness folder that is meant: flag, environment, default. A log's data folder is another, with other variables. */
export function witnessFolder({ command, io }: Context): string {
  const { data } = command.optsWithGlobals<{ data?: string }>()
  return data ?? (io.env['STELE_WITNESS_DATA'] || DEFAULT_WITNESS)
}
