import { type Command, Option } from 'commander'
import type { createMirror } from '../../mirror/config.ts'
import type { createWitness } from '../../witness/cosigner-folder.ts'
import { type Actions, examples } from '../action.ts'
import type { Context } from '../context.ts'
import { checkCosignerName, COSIGNER_TYPES, cosignerFolder, cosignerTypes } from '../cosigner-logs.ts'

/** The parts of the command that differ between a witness and a mirror. */
interface Made {
  readonly kind: 'witness' | 'mirror'
  /** Loads the function that creates the folder. */
  readonly load: () => Promise<typeof createWitness | typeof createMirror>
  /** A key name for examples. */
  readonly exampleName: string
  readonly keysAreFor: string
  readonly addLogOptions?: string
  /** Why the folder must not be copied or restored, as text. */
  readonly warning: string
}

interface InitOptions {
  readonly name: string
  readonly only?: keyof typeof COSIGNER_TYPES
}

/** `stele witness init`: creates a witness folder with keys. Never overwrites anything. */
export function witnessInitCommand(witness: Command, actions: Actions): void {
  initCommand(witness, actions, {
    kind: 'witness',
    load: async () => (await import('../../witness/cosigner-folder.ts')).createWitness,
    exampleName: 'witness.example.org/w1',
    keysAreFor: 'the logs that you witness and to everyone who verifies them',
    warning: `a witness that lost its state can be
led to sign another history. There is nothing to back up: if the folder is lost, make another witness, with a new name.`,
  })
}

/** `stele mirror init`: creates a mirror folder with keys. Never overwrites anything. */
export function mirrorInitCommand(mirror: Command, actions: Actions): void {
  initCommand(mirror, actions, {
    kind: 'mirror',
    load: async () => (await import('../../mirror/config.ts')).createMirror,
    exampleName: 'mirror.example.org/m1',
    keysAreFor: 'everyone who verifies its cosignatures',
    addLogOptions: ' --url <prefix of its files>',
    warning: `a mirror that lost its state can be led
to sign another history. If the folder is lost, make another mirror, with a new name.`,
  })
}

function initCommand(parent: Command, actions: Actions, made: Made): void {
  const { kind, exampleName } = made
  parent
    .command('init')
    .description(
      `make a ${kind} folder with keys; --data says where (STELE_${kind.toUpperCase()}_DATA, default ./${kind})`,
    )
    .requiredOption(
      '--name <name>',
      'name of its keys, which cannot be changed: a URL of yours without its scheme',
    )
    .addOption(
      new Option(
        '--only <type>',
        'one key instead of two: some logs accept no post-quantum signatures',
      ).choices(Object.keys(COSIGNER_TYPES)),
    )
    .addHelpText(
      'after',
      examples(
        [
          `stele ${kind} init --name ${exampleName}`,
          'an Ed25519 key and an ML-DSA-44 key; prints their public halves, for logs and verifiers',
        ],
        [`stele ${kind} init --name ${exampleName} --only ed25519 --data /var/lib/${kind}`, 'one key'],
      ),
    )
    .action(actions.of((context: Context, options: InitOptions) => init(context, options, made)))
}

async function init(context: Context, { name, only }: InitOptions, made: Made): Promise<void> {
  const { kind, load, keysAreFor, addLogOptions = '', warning } = made
  const create = await load()
  const { terminal, io } = context
  const data = cosignerFolder(context, kind)
  checkCosignerName(name)
  const { verifierKeys } = await create(data, name, cosignerTypes(only))
  await terminal.result({ data, name, verifierKeys }, verifierKeys.join('\n'))
  terminal.note(`
Created the ${kind} ${name} in ${data}.
Above are its verifier keys, one per line: give them to ${keysAreFor}.

Next:
  ${io.calledAs} ${kind} add-log <verifier key of a log>${addLogOptions} --data ${data}
  ${io.calledAs} ${kind} serve --data ${data}
Never run two copies of this folder, and never restore an older one: ${warning}`)
}
