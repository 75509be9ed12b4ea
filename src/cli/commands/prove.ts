import type { Command } from 'commander'
import { parseHex, toHex } from '../../bytes/hex.ts'
import { SteleError } from '../../errors.ts'
import { asHash, leafHash } from '../../merkle/hash.ts'
import { type Actions, examples } from '../action.ts'
import { addTrustOptions, type Context } from '../context.ts'
import { writeDurably } from '../files/durable.ts'
import { readInput } from '../files/input.ts'
import { asUsage, parseIndex } from '../range.ts'

interface ProveOptions {
  readonly hash?: string
  readonly entry?: string
  readonly output?: string
}

/** `stele prove`: writes a proof file for one entry. */
export function proveCommand(program: Command, actions: Actions): void {
  const command = program
    .command('prove [index]')
    .description('write the proof that an entry is in the log: a file that can always be verified offline')
  addTrustOptions(command)
    .option('--hash <hex>', 'the entry with this leaf hash')
    .option('--entry <file>', 'the entry with these bytes ("-": standard input)')
    .option('-o, --output <file.tlog-proof>', 'write it to this file instead of standard output')
    .addHelpText(
      'after',
      examples(
        ['stele prove 1234 -o line.tlog-proof', 'the proof of entry 1234'],
        [
          'stele prove --entry line.txt > line.tlog-proof',
          'the proof of an entry whose index you do not know',
        ],
      ),
    )
    .action(actions.of(prove))
}

async function prove(context: Context, options: ProveOptions, index?: string): Promise<void> {
  const { terminal } = context
  const leaf = await wantedLeaf(context, options, index)
  const found = await (await context.openLog()).prove(leaf)
  if (options.output !== undefined) {
    await writeDurably(options.output, found.proof)
    terminal.note(
      `${options.output}: proves entry ${found.index} in the tree of size ${found.checkpoint.size}`,
    )
  }
  if (terminal.json) {
    const { index: at, leafHash: hash, checkpoint, proof } = found
    await terminal.jsonLine({ index: at, leafHash: toHex(hash), treeSize: checkpoint.size, proof })
  } else if (options.output === undefined) {
    await terminal.data(found.proof)
  }
}

async function wantedLeaf(
  { io }: Context,
  { hash, entry }: ProveOptions,
  index: string | undefined,
): Promise<number | Uint8Array> {
  if ([index, hash, entry].filter((given) => given !== undefined).length !== 1) {
    throw new SteleError('usage', 'prove: expected one of an index, --hash and --entry')
  }
  if (index !== undefined) return parseIndex(index)
  if (hash !== undefined) return asUsage(() => asHash(parseHex(hash, '--hash'), '--hash'))
  return leafHash(await readInput(entry!, io))
}
