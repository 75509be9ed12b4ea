import type { Command } from 'commander'
import { resolveConfig, serverOptions, type OptionName } from '../../config/config.ts'
import { factsOf } from '../../config/option-kinds.ts'
import { type Actions, examples } from '../action.ts'
import type { Context } from '../context.ts'
import { addServerOptions, sourcesOf, type ServeOptions } from './serve.ts'

/** `stele config`: checks and shows the server's configuration without starting the server. */
export function configCommand(program: Command, actions: Actions): void {
  const config = program
    .command('config')
    .description("the server's configuration: check it, show it, describe it")
    .addHelpText('after', examples(['stele config check --config stele.yaml', 'before a restart']))
  const check = config
    .command('check')
    .description('read the configuration as "serve" would, and report every mistake at once')
  addServerOptions(check)
  check
    .addHelpText('after', examples(['stele config check --config stele.yaml', 'exit code 0, or 2']))
    .action(actions.of(checkConfig))
  const show = config
    .command('show')
    .description(
      'show every option with its value, and where the value came from: file and line, variable, flag, default',
    )
  addServerOptions(show)
  show
    .addHelpText(
      'after',
      examples(
        ['stele config show --config stele.yaml', 'as an equivalent configuration file'],
        ['STELE_PORT=7000 stele config show --json', 'for programs'],
      ),
    )
    .action(actions.of(showConfig))
  config
    .command('schema')
    .description('a JSON schema of the file, for editors; or with --sample a file with every default')
    .option('--sample', 'a file with every option, its meaning and its default')
    .addHelpText(
      'after',
      examples(
        ['stele config schema > stele.schema.json', 'the schema for the first line of the file'],
        ['stele config schema --sample > stele.yaml', 'a file to start from'],
      ),
    )
    .action(actions.of(describeConfig))
}

async function checkConfig(context: Context, options: ServeOptions): Promise<void> {
  resolveConfig(sourcesOf(context))
  await context.terminal.result({ ok: true }, `${options.config ?? 'configuration'}: no mistake found`)
}

async function showConfig(context: Context): Promise<void> {
  const { values, origins } = resolveConfig(sourcesOf(context))
  const shown = (Object.keys(values) as OptionName[]).map((name) => {
    const value = factsOf(serverOptions.shape[name]).secret ? REDACTED : values[name]
    return { name, value, from: origins[name] }
  })
  const line = ({ name, value, from }: (typeof shown)[number]): string =>
    `${name}: ${JSON.stringify(value)} # ${from.written}`
  await context.terminal.result({ options: shown }, shown.map(line).join('\n'))
}

const REDACTED = '(not shown)'

async function describeConfig(
  { terminal }: Context,
  { sample }: { readonly sample?: boolean },
): Promise<void> {
  const { optionsSchema, sampleFile } = await import('../../config/options.ts')
  if (sample) return terminal.data(sampleFile(serverOptions, './stele.schema.json'))
  await terminal.line(JSON.stringify(optionsSchema(serverOptions, 'Configuration of stele serve'), null, 2))
}
