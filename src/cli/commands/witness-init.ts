import type { Command } from 'commander'
import { Option } from 'commander'
import type { Actions } from '../action.ts'
import type { Context } from '../context.ts'
import { checkCosignerName, COSIGNER_TYPES, cosignerFolder, cosignerTypes } from '../cosigner-options.ts'
import { examples } from '../help.ts'

interface WitnessInitOptions {
  readonly name: string
  readonly only?: keyof typeof COSIGNER_TYPES
}

/** `stele witness init`: makes a witness folder with keys, and never overwrites anything. */
export function witnessInitCommand(witness: Command, actions: Actions): void {
  witness
    .command('init')
    .description('make a witness folder with keys; --data says where (STELE_WITNESS_DATA, default ./witness)')
    .requiredOption('--name <name>', 'name of its keys, for ever: a URL of yours without its scheme')
    .addOption(
      new Option(
        '--only <type>',
        'one key instead of two: some logs take no post-quantum signatures',
      ).choices(Object.keys(COSIGNER_TYPES)),
    )
    .addHelpText(
      'after',
      examples(
        [
          'stele witness init --name witness.example.org/w1',
          'an Ed25519 key and an ML-DSA-44 key; prints their public halves, for logs and verifiers',
        ],
        [
          'stele witness init --name witness.example.org/w1 --only ed25519 --data /var/lib/witness',
          'one key',
        ],
      ),
    )
    .action(actions.of(init))
}

async function init(context: Context, { name, only }: WitnessInitOptions): Promise<void> {
  const { createWitness } = await import('../../server/witness-folder.ts')
  const { terminal, io } = context
  const data = cosignerFolder(context, 'witness')
  checkCosignerName(name)
  const { verifierKeys } = await createWitness(data, name, cosignerTypes(only))
  await terminal.result({ data, name, verifierKeys }, verifierKeys.join('\n'))
  terminal.note(`
Made the witness ${name} in ${data}.
Above are its verifier keys, one a line: give them to the logs that you witness and to everyone who verifies them.

Next:
  ${io.calledAs} witness add-log <verifier key of a log> --data ${data}
  ${io.calledAs} witness serve --data ${data}
Never run two copies of this folder, and never go back to an older one: a witness that forgot what it signed can be
led to sign another history. There is nothing to back up: if the folder is lost, make another witness, with a new name.`)
}
