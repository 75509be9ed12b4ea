import type { Command } from 'commander'
import { type Actions, examples, PUBLIC_URL } from '../action.ts'
import type { Context } from '../context.ts'
import { KEY_OUT } from '../files/secret-file.ts'

/** `stele access …`: the provisioning key. */
export function accessCommand(program: Command, actions: Actions): void {
  const access = program
    .command('access')
    .description('the provisioning key of a data folder, from which all other keys come')
    .helpCommand(false)
    .addHelpText('after', examples(['stele access recover', 'a new provisioning key for a lost one']))
  access
    .command('init')
    .description('give a data folder without access control a provisioning key and a meta log')
    .option(...PUBLIC_URL)
    .option(...KEY_OUT)
    .addHelpText('after', examples(['stele access init', 'for folders created without access control']))
    .action(actions.of(init))
  access
    .command('recover')
    .description('replace a lost provisioning key; the old one is revoked, and the meta log records it')
    .option(...KEY_OUT)
    .addHelpText(
      'after',
      `
Requires access to the machine, and a stopped server. A user who can run this command can also
read the server's files.
${examples(['stele access recover', 'the new key is shown only once'])}`,
    )
    .action(actions.of(recover))
}

/** The file of the key, if it is not to be printed. */
interface OutOption {
  readonly out?: string
}

async function init(context: Context, options: OutOption & { readonly publicUrl?: string }): Promise<void> {
  const { addAccess } = await import('../files/initialise.ts')
  await handOver(context, options, async () => ({
    key: await addAccess(context.data, options.publicUrl ?? context.flagUrl),
  }))
  context.terminal.note(
    'The provisioning key creates API keys and logs. It can neither read nor write entries.',
  )
}

async function recover(context: Context, options: OutOption): Promise<void> {
  const { withOfflineAccess } = await import('../../server/offline.ts')
  const maker = { id: 'access recover', grants: 'host' } as const
  await handOver(context, options, async () => {
    const { key, info } = await withOfflineAccess(context.data, ({ keyring }) =>
      keyring.replaceProvisioning(maker),
    )
    return { key, id: info.id }
  })
  context.terminal.note('The old provisioning key is revoked, and the meta log records when.')
}

/** Makes a provisioning key, and prints the key or the name of its file. */
async function handOver(
  { data, terminal }: Context,
  { out }: OutOption,
  make: () => Promise<{ readonly key: string; readonly id?: string }>,
): Promise<void> {
  const { keepKey } = await import('../files/secret-file.ts')
  const { key, ...rest } = await keepKey(out, make)
  const kept = out === undefined ? { provisioningKey: key } : { provisioningKeyFile: out }
  await terminal.result({ data, ...kept, ...rest }, out ?? key)
}
