import type { Command } from 'commander'
import { Option } from 'commander'
import type { Actions } from '../action.ts'
import type { Context } from '../context.ts'
import { checkCosignerName, COSIGNER_TYPES, cosignerFolder, cosignerTypes } from '../cosigner-options.ts'
import { examples } from '../help.ts'

interface MirrorInitOptions {
  readonly name: string
  readonly only?: keyof typeof COSIGNER_TYPES
}

/** `stele mirror init`: makes a mirror folder with keys, and never overwrites anything. */
export function mirrorInitCommand(mirror: Command, actions: Actions): void {
  mirror
    .command('init')
    .description('make a mirror folder with keys; --data says where (STELE_MIRROR_DATA, default ./mirror)')
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
          'stele mirror init --name mirror.example.org/m1',
          'an Ed25519 key and an ML-DSA-44 key; prints their public halves, for logs and verifiers',
        ],
        ['stele mirror init --name mirror.example.org/m1 --only ed25519 --data /var/lib/mirror', 'one key'],
      ),
    )
    .action(actions.of(init))
}

async function init(context: Context, { name, only }: MirrorInitOptions): Promise<void> {
  const { createMirror } = await import('../../server/mirror-folder.ts')
  const { terminal, io } = context
  const data = cosignerFolder(context, 'mirror')
  checkCosignerName(name)
  const { verifierKeys } = await createMirror(data, name, cosignerTypes(only))
  await terminal.result({ data, name, verifierKeys }, verifierKeys.join('\n'))
  terminal.note(`
Made the mirror ${name} in ${data}.
Above are its verifier keys, one a line: give them to everyone who is to believe it.

Next:
  ${io.calledAs} mirror add-log <verifier key of a log> --url <prefix of its files> --data ${data}
  ${io.calledAs} mirror serve --data ${data}
Never run two copies of this folder, and never go back to an older one: a mirror that forgot what it signed can be led
to sign another history. If the folder is lost, make another mirror, with a new name.`)
}
