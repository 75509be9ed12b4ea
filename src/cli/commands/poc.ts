import type { Command } from 'commander'
import { SteleError } from '../../errors.ts'
import { type Actions, examples } from '../action.ts'
import type { Context } from '../context.ts'
import { EXIT_INTERRUPTED, EXIT_OK } from '../exit-codes.ts'
import type { Attack } from '../../poc/attack.ts'

interface PocOptions {
  readonly only?: readonly string[]
  readonly list?: boolean
  readonly keep?: boolean
}

/** `stele poc`: runs the attacks of the threat model, and shows the parties that notice them. */
export function pocCommand(program: Command, actions: Actions): void {
  program
    .command('poc')
    .description(
      'run every attack of the threat model against a log made for the test, and show which parties notice',
    )
    .option('--only <name...>', 'run only these attacks')
    .option('--list', 'list the attacks, and do nothing')
    .option('--keep', 'keep the folders of logs, witnesses and evidence')
    .addHelpText(
      'after',
      `
Starts a log, a witness and a monitor in a temporary folder and on loopback addresses, tampers with their files, keys and
responses, and compares the parties that notice with proto-docs/threat-model.md. Changes nothing else.
${examples(
  ['stele poc', 'the whole list; about two minutes'],
  ['stele poc --only stolen-key fork-reader --keep', 'two of them, and the folders to look at'],
  ['stele poc --list', 'the attacks, and who should catch them'],
  ['stele poc --json', 'a line for each attack, and one for the whole'],
)}
Exit codes:
   0  all results are as the threat model documents
  55  an attack was not noticed by the parties that the threat model documents, or was noticed by others
  56  a check failed before an attack, so that the attack showed nothing
`,
    )
    .action(actions.of(poc))
}

async function poc(context: Context, options: PocOptions): Promise<number> {
  const { ATTACKS } = await import('../../poc/attacks.ts')
  const attacks = options.only ? chosen(ATTACKS, options.only) : ATTACKS
  if (options.list) return list(context, attacks)
  const { exitCodeOf, runSuite } = await import('../../poc/suite.ts')
  const report = await import('../../poc/report.ts')
  const { terminal, io } = context
  const keep = options.keep === true
  const nameWidth = Math.max(...attacks.map(({ name }) => name.length))
  const stop = new AbortController()
  const off = io.onStopSignal(() => (stop.signal.aborted ? io.exit(EXIT_INTERRUPTED) : stop.abort()))
  const bar = terminal.progress('poc')
  const done = await runSuite(attacks, {
    keep,
    signal: stop.signal,
    onStep: ({ name, title }, step) => bar.draw(() => `${name.padEnd(nameWidth)}  ${title}  [${step}]`),
    async onTrial(trial) {
      bar.end()
      const line = report.trialLine(trial, nameWidth, terminal.paintData)
      await terminal.result(report.trialJson(trial, keep), line)
    },
  }).finally(() => {
    bar.end()
    off()
  })
  const lines = ['', ...report.table(done, io.stdout.columns, terminal.paintData), '', report.summary(done)]
  await terminal.result(report.summaryJson(done), lines.join('\n'))
  if (keep) terminal.note(`Kept: ${done.folder}`)
  return stop.signal.aborted ? EXIT_INTERRUPTED : exitCodeOf(done)
}

async function list({ terminal }: Context, attacks: readonly Attack[]): Promise<number> {
  const { promises } = await import('../../poc/attack.ts')
  for (const attack of attacks) {
    const { name, title } = attack
    const caughtBy = promises(attack)
    const who = caughtBy.map(({ by, fact }) => `${by} (${fact})`).join(', ') || 'nobody'
    await terminal.result({ attack: name, title, caughtBy }, `${name}: ${title}\n    caught by ${who}`)
  }
  return EXIT_OK
}

/** @throws SteleError `usage` for an unknown name */
function chosen(attacks: readonly Attack[], names: readonly string[]): readonly Attack[] {
  const unknown = names.find((name) => attacks.every((attack) => attack.name !== name))
  if (unknown === undefined) return attacks.filter(({ name }) => names.includes(name))
  const all = attacks.map(({ name }) => name).join(', ')
  throw new SteleError('usage', `--only: there is no attack "${unknown}", expected one of ${all}`)
}
