import type { Command } from 'commander'
import { hasCode, SteleError } from '../../errors.ts'
import { formatSigningKey, formatVerifierKey, generateSigningKey, type SigningKey } from '../../note/key.ts'
import { type Actions, examples } from '../action.ts'
import type { Context } from '../context.ts'

/** `stele keygen`: a key pair for signing notes. */
export function keygenCommand(program: Command, actions: Actions): void {
  program
    .command('keygen <name>')
    .description("create an Ed25519 key pair for signing notes, in the text form of Go's note package")
    .option(
      '--out <file>',
      'write the private key to a new file that only you can read, and print the public one',
    )
    .addHelpText(
      'after',
      examples(
        [
          'stele keygen log.example.com/logs/main --out log.skey',
          'private key into log.skey, public key printed',
        ],
        ['stele keygen witness.example.org', 'both printed: the private key first'],
      ),
    )
    .action(actions.of(keygen))
}

async function keygen({ terminal }: Context, { out }: { out?: string }, name: string): Promise<void> {
  const key = newKey(name)
  const verifierKey = formatVerifierKey(key.verifier)
  if (out === undefined) {
    const signingKey = formatSigningKey(key)
    await terminal.result({ name, verifierKey, signingKey }, `${signingKey}\n${verifierKey}`)
    terminal.note('The first line is the private key: anyone who has it can sign as you.')
    return
  }
  const { writeNewFile } = await import('../../storage/files.ts')
  await writeNewFile(out, `${formatSigningKey(key)}\n`, 0o600)
  await terminal.result({ name, verifierKey, file: out }, verifierKey)
  terminal.note(`The private key is in ${out}. Back it up; it cannot be recovered.`)
}

function newKey(name: string): SigningKey {
  try {
    return generateSigningKey(name)
  } catch (error) {
    if (!hasCode(error, 'malformed')) throw error
    throw new SteleError('usage', error.message, { cause: error })
  }
}
