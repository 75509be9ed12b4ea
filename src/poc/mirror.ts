import { encodeUtf8 } from '../bytes/text.ts'
import { HASH_BYTES } from '../merkle/hash.ts'
import { decodeBundle, encodeBundle } from '../tile/bundle.ts'
import type { Attack } from './attack.ts'
import type { Passing, Reply } from './front.ts'
import { leafHashes } from './history.ts'
import { auditor, clientReads, monitor } from './lookouts.ts'
import { lying } from './network.ts'
import type { Stage } from './stage.ts'

const FORGED = encodeUtf8('Dec 10 06:55:46 host-a sshd[10]: Accepted password for root')
const INDEX = 10
const BUNDLE = 'tile/entries/000'
const TILE = 'tile/0/000'

/** Attacks by a mirror, or by the operator's own server: it serves other bytes under the signed head. */
export const mirrorAttacks: readonly Attack[] = [
  {
    name: 'serve-edited',
    title: 'serve another entry 10, from a server that does not check what it serves',
    lookouts: [auditor('entry_differs'), monitor('bad_entry'), clientReads(INDEX)('bad_proof')],
    act: async (stage) => serve(stage, { [BUNDLE]: withEdit }),
  },
  {
    name: 'serve-rewrite',
    title: 'the same, with its leaf hash in the tile above changed to fit',
    lookouts: [auditor('tile_differs'), monitor('bad_tile'), clientReads(INDEX)('bad_proof')],
    act: async (stage) => serve(stage, { [BUNDLE]: withEdit, [TILE]: withLeaf }),
  },
]

type Edit = (bytes: Buffer) => Uint8Array

function serve({ parts }: Stage, edits: Readonly<Record<string, Edit>>): void {
  const isEdited = ({ path }: Passing): boolean => path in edits
  parts.front.lie = lying(isEdited, async ({ path, genuine }): Promise<Reply> => {
    const reply = await genuine()
    return { ...reply, body: Buffer.from(edits[path]!(reply.body)) }
  })
}

function withEdit(bundle: Buffer): Uint8Array {
  return encodeBundle(decodeBundle(new Uint8Array(bundle)).with(INDEX, FORGED))
}

function withLeaf(tile: Buffer): Uint8Array {
  const changed = new Uint8Array(tile)
  changed.set(leafHashes([FORGED]), INDEX * HASH_BYTES)
  return changed
}
