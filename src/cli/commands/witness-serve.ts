import type { Command } from 'commander'
import type { Logger } from 'pino'
import { loadWitnessConfig, witnessOptions, witnessVariable } from '../../server/witness-config.ts'
import type { RunningWitness } from '../../server/witness-start.ts'
import type { Actions } from '../action.ts'
import type { Context } from '../context.ts'
import { cosignerFolder } from '../cosigner-options.ts'
import { examples } from '../help.ts'
import { addOptionFlags, optionSources } from '../option-flags.ts'
import { runUntilStopped } from '../serving.ts'

/** `stele witness serve`: cosigns until it is told to stop. */
export function witnessServeCommand(witness: Command, actions: Actions): void {
  const command = witness
    .command('serve')
    .description('cosign for the logs of a witness folder; SIGTERM or SIGINT stops it')
  addOptionFlags(command, witnessOptions, witnessVariable)
  command
    .addHelpText(
      'after',
      examples(
        ['stele witness serve', 'serve ./witness on http://127.0.0.1:6964'],
        [
          'stele witness serve --data /var/lib/witness --host 0.0.0.0 --log-level warn',
          'flags win over variables, variables over the file',
        ],
      ),
    )
    .action(actions.of(serve))
}

async function serve(context: Context): Promise<number> {
  const { terminal } = context
  const data = cosignerFolder(context, 'witness')
  const config = loadWitnessConfig(optionSources(context, witnessOptions, { data }))
  const start = async (logger: Logger): Promise<RunningWitness> => {
    const { startWitness } = await import('../../server/witness-start.ts')
    return startWitness(config, logger)
  }
  return runUntilStopped(context, config, start, async ({ url, witness }) => {
    const logs = witness.logs.map(({ origin }) => origin)
    if (terminal.json) await terminal.jsonLine({ url, data: config.data, logs })
    else terminal.note(`stele: witness ${config.data} on ${url}, for ${logs.length} logs`)
  })
}
