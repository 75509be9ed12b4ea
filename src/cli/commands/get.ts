import type { Command } from 'commander'
import { toBase64 } from '../../bytes/base64.ts'
import { concatBytes } from '../../bytes/bytes.ts'
import { toHex } from '../../bytes/hex.ts'
import type { VerifiedEntry } from '../../client/verified-entries.ts'
import { encodeBundle } from '../../tile/bundle.ts'
import { type Actions, examples } from '../action.ts'
import { addTrustOptions, type Context } from '../context.ts'
import { parseRange } from '../range.ts'

const LF = Uint8Array.of(0x0a)

/** `stele get`: writes verified entries. */
export function getCommand(program: Command, actions: Actions): void {
  const command = program
    .command('get <index|begin..end>')
    .description('write the bytes of an entry, or of several, each verified against the signed tree head')
  addTrustOptions(command)
    .option('--bundle', 'a range as a C2SP entry bundle: two bytes of length before each entry')
    .addHelpText(
      'after',
      examples(
        ['stele get 1234 > entry', 'exactly the bytes of entry 1234'],
        ['stele get 10..20', 'entries 10 to 19, each followed by a line feed'],
        ['stele get 10.. --json', 'all from 10 on: index, leaf hash and base64, one line each'],
      ),
    )
    .action(actions.of(get))
}

async function get(context: Context, { bundle }: { bundle?: boolean }, place: string): Promise<void> {
  const { terminal } = context
  const range = parseRange(place)
  const log = await context.openLog()
  for await (const found of log.entries(range.begin, range.end)) {
    if (terminal.json) await terminal.jsonLine(asJson(found))
    // Copied, because the entry is a view of a larger buffer, and the stream may keep it for a while.
    else if (bundle) await terminal.data(encodeBundle([found.entry]))
    else await terminal.entry(range.single ? found.entry.slice() : concatBytes(found.entry, LF))
  }
}

function asJson({ index, leafHash, entry }: VerifiedEntry): object {
  return { index, leafHash: toHex(leafHash), entry: toBase64(entry) }
}
