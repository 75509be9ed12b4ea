import type { Command } from 'commander'
import { loadConfig, optionList, serverOptions, type Config, type OptionName } from '../../config/config.ts'
import type { OptionSources } from '../../config/options.ts'
import { type Actions, addOptionFlags, examples, optionSources } from '../action.ts'
import type { Context } from '../context.ts'
import { serveUntilStopped } from '../serving.ts'

/** The options of `serve` and `start`: the server's, as commander names them, and --config. */
export interface ServeOptions {
  readonly config?: string
  readonly [option: string]: string | boolean | undefined
}

/** `stele serve`: serves the logs of a data folder until it is stopped. */
export function serveCommand(program: Command, actions: Actions): void {
  const command = program
    .command('serve')
    .description(
      'serve the logs of a data folder; SIGTERM or SIGINT stops it, and every admitted entry is kept',
    )
  addServerOptions(command)
  command
    .addHelpText(
      'after',
      examples(
        ['stele serve', 'serve ./data on http://127.0.0.1:6962'],
        [
          'stele serve --config /etc/stele.yaml --log-level warn',
          'flags override variables, which override the file',
        ],
      ),
    )
    .action(actions.of(serve))
}

/** Every option of the server as a flag. */
export function addServerOptions(command: Command): void {
  addOptionFlags(command, serverOptions)
}

async function serve(context: Context): Promise<number> {
  const config = configOf(context)
  return serveUntilStopped(context, config, async ({ url, logs: served }) => {
    const logs = served.list().map(({ name }) => name)
    if (context.terminal.json) await context.terminal.jsonLine({ url, data: config.data, logs })
    else context.terminal.note(`stele: serving ${config.data} on ${url}, logs: ${logs.join(', ')}`)
  })
}

/** The server's configuration from flags, environment and file. @throws SteleError `usage`, `io_error` */
export function configOf(context: Context, overrides: Partial<Record<OptionName, unknown>> = {}): Config {
  return loadConfig(sourcesOf(context, overrides))
}

/** The values of the server's options, and where each came from. */
export function sourcesOf(
  context: Context,
  overrides: Partial<Record<OptionName, unknown>> = {},
): OptionSources {
  return optionSources(context, optionList, overrides)
}
