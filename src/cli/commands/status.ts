import { visible } from '../../bytes/visible.ts'
import type { Command } from 'commander'
import { ENDS_SOON_DAYS } from '../../access/key-record.ts'
import { type Actions, examples } from '../action.ts'
import type { LogState, ServerState } from '../access/served.ts'
import type { Context } from '../context.ts'
import { EXIT_CODES, EXIT_NOT_READY, EXIT_OK } from '../exit-codes.ts'
import type { Terminal } from '../output/terminal.ts'
import { counted, formatCount, formatSeconds } from '../output/units.ts'

const DEFAULT_SERVER = 'http://127.0.0.1:6962'

/** `stele status`: shows the state of a running server. */
export function statusCommand(program: Command, actions: Actions): void {
  program
    .command('status')
    .description(
      'show the state of a running server: logs, ages of heads, verification, queues; complete with an operator’s key',
    )
    .option('--server <url>', 'the server', DEFAULT_SERVER)
    .addHelpText(
      'after',
      `${examples(
        ['stele status', 'the part that requires no key'],
        ['stele status --server https://log.example.com > /dev/null || page-on-call', 'in a script'],
        ['stele status --json', '"ready" is true or false, and each log has the reason if it is not'],
      )}
Exit codes: 0 ready; 25 a log is halted, or could not be opened; 57 not ready for another reason, which is printed (an old
head, damage, a log that waits for its witnesses, a full disk); 20 the server does not respond; any other: unknown.
`,
    )
    .action(actions.of(status))
}

async function status(context: Context, { server }: { readonly server: string }): Promise<number> {
  const { servedStatus } = await import('../access/served.ts')
  const state = await servedStatus(server, await context.headers())
  const { terminal } = context
  if (terminal.json) await terminal.jsonLine({ server, ...state })
  else await show(terminal, server, state)
  return exitCodeOf(state)
}

function exitCodeOf({ ready, logs }: ServerState): number {
  if (ready) return EXIT_OK
  const halted = logs.some((log) => !log.ready && ['halted', 'failed'].includes(log.state))
  return halted ? EXIT_CODES.log_halted : EXIT_NOT_READY
}

async function show(terminal: Terminal, server: string, state: ServerState): Promise<void> {
  const verdict = state.ready ? terminal.paintData.green('ready') : terminal.paintData.red('NOT READY')
  await terminal.line(`${server}: ${verdict}${diskOf(state)}`)
  const width = Math.max(0, ...state.logs.map(({ name }) => name.length))
  for (const log of state.logs) await terminal.line(lineOf(log, width, terminal))
  for (const line of keyLines(state)) await terminal.line(line)
}

function lineOf(log: LogState, width: number, { paintData }: Terminal): string {
  const { name, ready, state, reason, successor, treeSize, headAgeMs, queueEntries } = log
  const shown = state.padEnd(10)
  const parts = [
    `${visible(name).padEnd(width)}  ${ready ? paintData.green(shown) : paintData.red(shown)}`,
    treeSize === undefined ? '' : `size ${formatCount(treeSize)}`,
    headAgeMs === undefined ? '' : ageOf(headAgeMs),
    queueEntries === undefined ? '' : `queue ${formatCount(queueEntries)}`,
    scrubOf(log, paintData),
    successor === undefined ? '' : `continues at ${visible(successor)}`,
    reason === undefined ? '' : paintData.red(reason),
  ]
  return parts.filter((part) => part !== '').join('  ')
}

function ageOf(headAgeMs: number): string {
  const seconds = formatSeconds(Math.abs(headAgeMs) / 1000)
  return headAgeMs < 0 ? `head dated ${seconds} ahead` : `head ${seconds} old`
}

function scrubOf({ scrub }: LogState, paint: Terminal['paintData']): string {
  if (!scrub) return ''
  const { coverage, pass, lastPass, findingCount } = scrub
  const done = lastPass ? `, last ended ${new Date(lastPass.finishedAtMs).toISOString()}` : ''
  const verified = `verified ${Math.floor(coverage * 100)} % in pass ${formatCount(pass)}${done}`
  return findingCount === 0 ? verified : `${verified}, ${paint.red(counted(findingCount, 'damaged place'))}`
}

/** Keys expire with the access that they give; "stele key rotate" replaces one. */
function keyLines({ endingKeys }: ServerState): string[] {
  if (!endingKeys || endingKeys.count === 0) return []
  const { count, keys = [] } = endingKeys
  const lines = keys.map(({ id, role, logs, expiresAt, label }) => {
    const scope = logs === '*' ? 'all logs' : logs.join(',')
    return `  ${id}  ${role}  ${scope}  until ${expiresAt}  ${label}`.trimEnd()
  })
  return [
    `${counted(count, 'API key')} about to expire within ${ENDS_SOON_DAYS} days, without a successor`,
    ...lines,
  ]
}

function diskOf({ disk }: ServerState): string {
  return disk?.freeBytes === undefined ? '' : `, ${(disk.freeBytes / 2 ** 30).toFixed(1)} GiB free`
}
