import { cosignerOptions } from './cosigner-config.ts'
import { whole, words } from './option-kinds.ts'
import { OptionTable, type OptionSources, type OptionValues } from './options.ts'

/** Every option of a witness: the flag is `--name`, the variable `STELE_WITNESS_NAME` in capitals with underscores. */
const options = {
  data: words('witness').describe('Witness folder, as made by "stele witness init".'),
  host: words('127.0.0.1').describe('Address to listen on; loopback is for this machine only.'),
  port: whole(6964, 0, 65_535).describe('TCP port; 0 takes a free one.'),
  ...cosignerOptions,
} as const

const table = new OptionTable('STELE_WITNESS', options)

/** A witness's configuration: complete, checked, frozen. */
export type WitnessConfig = OptionValues<typeof options>
export type WitnessOption = keyof typeof options

/** Names, meanings and defaults, for `--help` and for the documentation. */
export const witnessOptions = table.list

/** The environment variable of an option. */
export function witnessVariable(name: WitnessOption): string {
  return table.variableOf(name)
}

/**
 * Puts flags over environment over file, and checks the whole before anything is opened.
 *
 * @throws SteleError `usage`, with every mistake at once under the name that the operator wrote; `io_error`
 */
export function loadWitnessConfig(sources: OptionSources): WitnessConfig {
  return table.load(sources)
}
