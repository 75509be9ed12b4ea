import type { Command } from 'commander'
import type { CosignerKind } from '../../witness/cosigner-folder.ts'
import type { RunningCosigner } from '../../witness/cosigner-start.ts'
import { mirrorOptions } from '../../mirror/config.ts'
import type { OptionSources } from '../../config/options.ts'
import { witnessOptions } from '../../witness/cosigner-config.ts'
import { type Actions, addOptionFlags, examples, type FlagOptions, optionSources } from '../action.ts'
import type { Context } from '../context.ts'
import { cosignerFolder } from '../cosigner-logs.ts'
import { runUntilStopped, type ServingOptions } from '../serving.ts'
import type { ServerLog } from '../../http/server-log.ts'

/** The options that this file reads. */
type CosignerConfig = ServingOptions & { readonly data: string }

/** The parts of the command that differ between a witness and a mirror. */
interface Serving<Config extends CosignerConfig> {
  readonly kind: CosignerKind
  /** What the daemon does with logs. */
  readonly does: string
  readonly port: number
  /** The preposition in messages: a mirror "of" logs, a witness "for" logs. */
  readonly preposition: 'of' | 'for'
  readonly options: FlagOptions & { load(sources: OptionSources): Config }
  readonly start: (config: Config, logger: ServerLog) => Promise<RunningCosigner>
}

/** `stele witness serve`: cosigns until it is stopped. */
export function witnessServeCommand(witness: Command, actions: Actions): void {
  serveCommand(witness, actions, {
    kind: 'witness',
    does: 'cosign for the logs of a witness folder',
    port: 6964,
    preposition: 'for',
    options: witnessOptions,
    async start(config, logger) {
      const { startWitness } = await import('../../witness/start.ts')
      return startWitness(config, logger)
    },
  })
}

/** `stele mirror serve`: follows, serves and cosigns until it is stopped. */
export function mirrorServeCommand(mirror: Command, actions: Actions): void {
  serveCommand(mirror, actions, {
    kind: 'mirror',
    does: 'follow the logs of a mirror folder and serve the copies',
    port: 6966,
    preposition: 'of',
    options: mirrorOptions,
    async start(config, logger) {
      const { startMirror } = await import('../../mirror/start.ts')
      return startMirror(config, logger)
    },
  })
}

function serveCommand<Config extends CosignerConfig>(
  parent: Command,
  actions: Actions,
  serving: Serving<Config>,
): void {
  const { kind, does, port, options } = serving
  const command = parent
    .command('serve')
    .description(`${does}; SIGTERM or SIGINT stops it, SIGHUP reads its list of logs again`)
  addOptionFlags(command, options)
  command
    .addHelpText(
      'after',
      examples(
        [`stele ${kind} serve`, `serve ./${kind} on http://127.0.0.1:${port}`],
        [
          `stele ${kind} serve --data /var/lib/${kind} --host 0.0.0.0 --log-level warn`,
          'flags override variables, which override the file',
        ],
      ),
    )
    .action(actions.of((context: Context) => serve(context, serving)))
}

async function serve<Config extends CosignerConfig>(
  context: Context,
  { kind, options, start, preposition }: Serving<Config>,
): Promise<number> {
  const { terminal } = context
  const data = cosignerFolder(context, kind)
  const config = options.load(optionSources(context, options.list, { data }))
  const begin = (logger: ServerLog): Promise<RunningCosigner> => start(config, logger)
  // A SIGHUP during the start must not end the process. The list may have been read before it, so it is read again.
  let isDue = false
  const off = context.io.onReloadSignal(() => (isDue = true))
  return runUntilStopped(context, config, begin, async (running) => {
    off()
    if (isDue) await running.reload()
    const { url, logs } = running
    const origins = logs.map(({ origin }) => origin)
    if (terminal.json) await terminal.jsonLine({ url, data: config.data, logs: origins })
    else terminal.note(`stele: ${kind} ${config.data} on ${url}, ${preposition} ${logs.length} logs`)
  })
}
