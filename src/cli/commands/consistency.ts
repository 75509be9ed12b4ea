import type { Command } from 'commander'
import { equalBytes } from '../../bytes/bytes.ts'
import { toHex } from '../../bytes/hex.ts'
import { decodeUtf8 } from '../../bytes/text.ts'
import type { LogClient, ProvenConsistency } from '../../client/index.ts'
import { isDenied } from '../../client/served-proofs.ts'
import { SteleError } from '../../errors.ts'
import type { Checkpoint } from '../../note/checkpoint.ts'
import { openTrusted } from '../../policy/evaluate.ts'
import type { Hash } from '../../merkle/hash.ts'
import { type Actions, examples } from '../action.ts'
import { addTrustOptions, type Context } from '../context.ts'
import { readInput } from '../files/input.ts'
import { formatCount } from '../output/units.ts'

/** `stele consistency`: proves that history was not rewritten. */
export function consistencyCommand(program: Command, actions: Actions): void {
  const command = program
    .command('consistency <old-checkpoint> [new-checkpoint]')
    .description(
      "prove that the log's current checkpoint, or the given one, extends an older one that you kept",
    )
  addTrustOptions(command)
    .addHelpText(
      'after',
      examples(
        ['stele consistency last-week.checkpoint', 'no entry that it covered was changed or removed'],
        [
          'stele consistency monday.checkpoint friday.checkpoint',
          'the same for two checkpoints that you kept',
        ],
      ),
    )
    .action(actions.of(consistency))
}

async function consistency(context: Context, _: object, oldFile: string, newFile?: string): Promise<void> {
  const { terminal } = context
  const trust = await context.trust(context.url)
  const { origin } = trust
  const read = async (file: string): Promise<Kept> => {
    const note = decodeUtf8(await readInput(file, context.io), 'checkpoint')
    return { ...openTrusted(note, trust).checkpoint, note }
  }
  const older = await read(oldFile)
  const log = await context.openLog()
  const now = await log.checkpoint()
  const newer = newFile === undefined ? now : await read(newFile)
  checkOrder(older, newer)
  checkOrder(newer, now)
  // Both heads must agree with the log's current tree at their sizes; the path between them is verified on the way.
  const proven = await prove(log, older, newer)
  checkRoot(older, proven.oldRoot)
  checkRoot(newer, proven.newRoot)
  await terminal.result(
    {
      verdict: 'consistent',
      origin,
      oldSize: older.size,
      newSize: newer.size,
      oldRoot: toHex(older.root),
      newRoot: toHex(newer.root),
      path: proven.path.map(toHex),
    },
    `${terminal.paintData.green('consistent')}: the tree of size ${formatCount(newer.size)} extends the one of ` +
      `size ${formatCount(older.size)} (${origin})`,
  )
}

type Kept = Checkpoint & { readonly note: string }

/** Uses tiles, or for a caller that may not read leaf hashes, the consistency proofs that the log serves. */
async function prove(log: LogClient, older: Kept, newer: Kept): Promise<ProvenConsistency> {
  try {
    return await log.consistency(older.size, newer.size)
  } catch (error) {
    if (!isDenied(error)) throw error
    for (const { note } of [newer, older]) await log.hold(note)
    return log.consistency(older.size, newer.size)
  }
}

function checkOrder(older: Checkpoint, newer: Checkpoint): void {
  if (older.size <= newer.size) return
  throw new SteleError(
    'rolled_back',
    `the older checkpoint is of size ${older.size}, the newer one of size ${newer.size}. If they are in the right ` +
      `order, the log was rolled back: keep both, they are evidence`,
  )
}

function checkRoot({ size, root, origin }: Checkpoint, found: Hash): void {
  if (equalBytes(root, found)) return
  throw new SteleError(
    'fork',
    `${origin}: at size ${size} root hash ${toHex(root)} was signed, but the log's tree has ${toHex(found)}. ` +
      `The log has two histories: keep both checkpoints, they are evidence`,
  )
}
