import type { Command } from 'commander'
import type { Logger } from 'pino'
import { loadMirrorConfig, mirrorOptions, mirrorVariable } from '../../server/mirror-config.ts'
import type { RunningMirror } from '../../server/mirror-start.ts'
import type { Actions } from '../action.ts'
import type { Context } from '../context.ts'
import { cosignerFolder } from '../cosigner-options.ts'
import { examples } from '../help.ts'
import { addOptionFlags, optionSources } from '../option-flags.ts'
import { runUntilStopped } from '../serving.ts'

/** `stele mirror serve`: follows, serves and cosigns until it is told to stop. */
export function mirrorServeCommand(mirror: Command, actions: Actions): void {
  const command = mirror
    .command('serve')
    .description('follow the logs of a mirror folder and serve the copies; SIGTERM or SIGINT stops it')
  addOptionFlags(command, mirrorOptions, mirrorVariable)
  command
    .addHelpText(
      'after',
      examples(
        ['stele mirror serve', 'serve ./mirror on http://127.0.0.1:6966'],
        [
          'stele mirror serve --data /var/lib/mirror --host 0.0.0.0 --log-level warn',
          'flags win over variables, variables over the file',
        ],
      ),
    )
    .action(actions.of(serve))
}

async function serve(context: Context): Promise<number> {
  const { terminal } = context
  const data = cosignerFolder(context, 'mirror')
  const config = loadMirrorConfig(optionSources(context, mirrorOptions, { data }))
  const start = async (logger: Logger): Promise<RunningMirror> => {
    const { startMirror } = await import('../../server/mirror-start.ts')
    return startMirror(config, logger)
  }
  return runUntilStopped(context, config, start, async ({ url, mirror }) => {
    const logs = mirror.logs.map(({ origin }) => origin)
    if (terminal.json) await terminal.jsonLine({ url, data: config.data, logs })
    else terminal.note(`stele: mirror ${config.data} on ${url}, of ${logs.length} logs`)
  })
}
