import type { Command } from 'commander'
import {
  loadWitnessConfig,
  witnessOptions,
  witnessVariable,
  type WitnessConfig,
} from '../../server/witness-config.ts'
import type { Actions } from '../action.ts'
import type { Context } from '../context.ts'
import { EXIT_INTERRUPTED, EXIT_OK } from '../exit-codes.ts'
import { examples } from '../help.ts'
import { camelCase } from './serve.ts'
import { witnessFolder } from './witness-folder.ts'

/** `stele witness serve`: cosigns until it is told to stop. */
export function witnessServeCommand(witness: Command, actions: Actions): void {
  const command = witness
    .command('serve')
    .description('cosign for the logs of a witness folder; SIGTERM or SIGINT stops it')
  command.option('--config <file>', 'YAML file with any of the options below')
  for (const { name, description, fallback } of witnessOptions) {
    if (name === 'data') continue
    command.option(`--${name} <value>`, `${description} (${witnessVariable(name)}, default ${fallback})`)
  }
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
  const config = configOf(context)
  const [{ createServerLog }, { startWitness }] = await Promise.all([
    import('../../server/server-log.ts'),
    import('../../server/witness-start.ts'),
  ])
  // Listened to before anything is opened: a signal that comes meanwhile must not cut an opening short.
  const stopped = stopSignal(context)
  try {
    const logger = createServerLog(config['log-level'])
    const running = await startWitness(config, logger)
    const { url, witness } = running
    const said = { url, data: config.data, logs: witness.logs.map(({ origin }) => origin) }
    if (context.terminal.json) await context.terminal.jsonLine(said)
    else context.terminal.note(`stele: witness ${config.data} on ${url}, for ${witness.logs.length} logs`)
    await stopped.received
    await running.close()
    return EXIT_OK
  } finally {
    stopped.off()
  }
}

/** Resolves at the first signal; the second ends the process. */
function stopSignal({ io }: Context): { received: Promise<void>; off: () => void } {
  let off = (): void => {}
  const received = new Promise<void>((resolve) => {
    let signals = 0
    off = io.onStopSignal(() => (++signals === 1 ? resolve() : io.exit(EXIT_INTERRUPTED)))
  })
  return { received, off }
}

function configOf(context: Context): WitnessConfig {
  const { command, io } = context
  const all = command.optsWithGlobals<Record<string, unknown>>()
  const flags = Object.fromEntries(witnessOptions.map(({ name }) => [name, all[camelCase(name)]]))
  const file = all['config'] as string | undefined
  return loadWitnessConfig({ flags: { ...flags, data: witnessFolder(context) }, env: io.env, file })
}
