import { concatBytes } from '../bytes/bytes.ts'
import { SteleError } from '../errors.ts'
import { formatVerifierKey } from '../note/key.ts'
import { decodeItem, encodeItem, showItem } from './octets.ts'
import { parsePolicy } from './parse.ts'
import type { Policy, PolicyGroup } from './policy.ts'

/**
 * Writes a policy: logs, witnesses, groups, quorum, an item's space between items, no comments. Reading it back gives the
 * same policy, and writing that the same octets.
 *
 * @returns octets; they are UTF-8 if all names and URLs are
 * @throws SteleError `malformed` or `too_large` for what `parsePolicy` would not read back
 */
export function formatPolicy(policy: Policy): Uint8Array {
  const lines = [
    ...policy.logs.map(({ key, url }) => ['log', formatVerifierKey(key), ...optional(url)]),
    ...policy.witnesses.map(({ name, key, url }) => [
      'witness',
      name,
      formatVerifierKey(key),
      ...optional(url),
    ]),
    ...policy.groups.map((group) => ['group', group.name, formatThreshold(group), ...group.members]),
    ['quorum', policy.quorum],
  ]
  const octets = concatBytes(...lines.map(formatLine))
  // Checks that the text is a valid policy.
  parsePolicy(octets)
  return octets
}

function formatLine(items: readonly string[]): Uint8Array {
  const parts = items.map((item) => {
    const octets = encodeItem(item)
    // A space within would make two items of one, and no octets would vanish.
    if (octets.length === 0 || /[\t\n ]/.test(item) || decodeItem(octets) !== item) {
      throw new SteleError('malformed', `policy: expected an item without white space, got ${showItem(item)}`)
    }
    return octets
  })
  const separated = parts.flatMap((part, i) => (i === 0 ? [part] : [SPACE, part]))
  return concatBytes(...separated, LF)
}

const SPACE = Uint8Array.of(0x20)
const LF = Uint8Array.of(0x0a)

function formatThreshold({ threshold, members }: PolicyGroup): string {
  if (threshold === members.length) return 'all'
  return threshold === 1 ? 'any' : String(threshold)
}

function optional(url: string | undefined): string[] {
  return url === undefined ? [] : [url]
}
