import type { Command } from 'commander'
import type { Actions } from '../action.ts'
import type { Context } from '../context.ts'
import { examples } from '../help.ts'
import { PUBLIC_URL } from '../option-flags.ts'

/** `stele access …`: the root of all keys. */
export function accessCommand(program: Command, actions: Actions): void {
  const access = program
    .command('access')
    .description('the provisioning key of a data folder, from which all other keys come')
    .helpCommand(false)
    .addHelpText('after', examples(['stele access recover', 'a new provisioning key for a lost one']))
  access
    .command('init')
    .description('give a data folder that has none yet a provisioning key and a meta log')
    .option(...PUBLIC_URL)
    .addHelpText(
      'after',
      examples(['stele access init', 'for folders that were made without access control']),
    )
    .action(actions.of(init))
  access
    .command('recover')
    .description(
      'make a new provisioning key where the old one was lost; the old one ends, and the meta log says so',
    )
    .addHelpText(
      'after',
      `
Takes the machine itself: the server has to be stopped, and whoever runs this could read its files anyway.
${examples(['stele access recover', 'the new key is shown this once'])}`,
    )
    .action(actions.of(recover))
}

async function init(context: Context, options: { readonly publicUrl?: string }): Promise<void> {
  const { addAccess } = await import('../files/initialise.ts')
  const { data, terminal } = context
  const provisioningKey = await addAccess(data, options.publicUrl ?? context.flagUrl)
  await terminal.result({ data, provisioningKey }, provisioningKey)
  terminal.note(
    'The provisioning key, shown this once: it makes API keys and logs, and reads and writes no entries.',
  )
}

async function recover({ data, terminal }: Context): Promise<void> {
  const { withOfflineAccess } = await import('../../server/offline-access.ts')
  const { key, info } = await withOfflineAccess(data, ({ keyring }) =>
    keyring.replaceProvisioning({ id: 'access recover', grants: 'host' }),
  )
  await terminal.result({ data, provisioningKey: key, id: info.id }, key)
  terminal.note(
    'The new provisioning key, shown this once. The old one is revoked, and the meta log says when.',
  )
}
