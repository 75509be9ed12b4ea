import { cosignerOptions } from './cosigner-config.ts'
import { hostName, whole, words } from '../config/option-kinds.ts'
import { OptionTable, type OptionValues } from '../config/options.ts'

/** Every option of a witness: the flag is `--name`, the variable `STELE_WITNESS_NAME` in capitals with underscores. */
export const witnessOptions = new OptionTable('STELE_WITNESS', {
  data: words('witness').describe('Witness folder, as made by "stele witness init".'),
  host: hostName('127.0.0.1').describe('Address to listen on; loopback is for this machine only.'),
  port: whole(6964, 0, 65_535).describe('TCP port; 0 takes a free one.'),
  ...cosignerOptions,
})

/** A witness's configuration: complete, checked, frozen. */
export type WitnessConfig = OptionValues<typeof witnessOptions.shape>
