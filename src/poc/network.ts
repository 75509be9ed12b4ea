import { once } from 'node:events'
import { connect } from 'node:net'
import { leafHash } from '../merkle/hash.ts'
import { formatProofFile, parseProofFile } from '../note/proof-file.ts'
import { parseHex, toHex } from '../bytes/hex.ts'
import { encodeUtf8 } from '../bytes/text.ts'
import type { Attack } from './attack.ts'
import { textReply, type Lie, type Passing, type Reply } from './front.ts'
import {
  client,
  clientAppends,
  consistencyReader,
  logTakesFromPage,
  monitor,
  monitorHoursLater,
  newcomer,
  server,
  thirdParty,
  verifier,
} from './lookouts.ts'
import type { Claim, Stage } from './stage.ts'

/** Answers some paths with what it likes, and lets the rest pass. */
export function lying(isMeant: (passing: Passing) => boolean, lie: Lie): Lie {
  return (passing) => (isMeant(passing) ? lie(passing) : passing.genuine())
}

/** Serves another text in the place of the checkpoint. */
export function serveCheckpoint({ parts }: Stage, note: string): void {
  parts.front.lie = lying(
    ({ path }) => path === 'checkpoint',
    () => textReply(note),
  )
}

const isAppend = ({ method, path }: Passing): boolean => method === 'POST' && path.startsWith('v1/entries')

export const networkAttacks: readonly Attack[] = [
  {
    name: 'replay-head',
    title: 'serve an old signed head as the newest one',
    lookouts: [monitor('rollback'), thirdParty('needs_log'), client('rolled_back')],
    act: async (stage) => serveCheckpoint(stage, stage.heads[0]!),
  },
  {
    name: 'stall',
    title: 'show readers the same head for hours, while the log goes on',
    lookouts: [monitorHoursLater('stale')],
    act: async ({ parts: { front } }) => {
      const shown = new Map<string, Reply>()
      const isHead = ({ path }: Passing): boolean => ['checkpoint', 'ct/v1/get-sth'].includes(path)
      front.lie = lying(isHead, async ({ path, genuine }) => {
        const reply = shown.get(path) ?? (await genuine())
        shown.set(path, reply)
        return reply
      })
      for (const path of ['checkpoint', 'ct/v1/get-sth']) await fetch(`${front.url}/${path}`)
    },
  },
  {
    name: 'silence',
    title: 'answer no request any more',
    lookouts: [monitor('unreachable'), newcomer('unreachable')],
    act: async (stage) => {
      stage.patienceMs = 1000
      stage.parts.front.lie = () => undefined
    },
  },
  {
    name: 'unread-answers',
    title: 'ask for answers 150 times ahead on one connection, and read none',
    lookouts: [server('overloaded'), newcomer(undefined), monitor(undefined)],
    act: async ({ parts: { front } }) => askAhead(front.target),
  },
  {
    name: 'forge-inclusion',
    title: 'use a genuine proof for another entry, and bend the hashes of receipts',
    lookouts: [verifier('wrong_entry'), clientAppends('bad_proof')],
    act: async (stage) => {
      stage.claim = { ...stage.claim!, entry: encodeUtf8('an entry that was never logged') }
      stage.parts.front.lie = lying(isAppend, async ({ genuine }) => withProof(await genuine(), bent))
    },
  },
  {
    name: 'fake-receipt',
    title: 'acknowledge entries without logging them',
    lookouts: [clientAppends('bad_proof')],
    act: async (stage) => {
      const receipt = await stage.append()
      stage.parts.front.lie = lying(isAppend, async ({ body }) => acknowledgement(body, receipt))
    },
  },
  {
    name: 'forge-consistency',
    title: 'bend the proof that the newest tree extends an older one',
    lookouts: [consistencyReader('bad_proof')],
    act: async ({ parts: { front } }) => {
      const isProof = ({ path }: Passing): boolean => path.startsWith('v1/proofs/consistency')
      front.lie = lying(isProof, async ({ genuine }) => {
        const answer = JSON.parse((await genuine()).body.toString()) as { path: string[] }
        const path = answer.path.map((hex) => toHex(flipped(parseHex(hex, 'proof'))))
        return textReply(JSON.stringify({ ...answer, path }), 'application/json')
      })
    },
  },
  {
    name: 'rebound-page',
    title: "let a web site's name lead to loopback, and append from its page",
    lookouts: [logTakesFromPage('wrong_host')],
    act: async (stage) => {
      stage.pageName = 'evil.example'
    },
  },
]

const REQUESTS_AHEAD = 150
/** A server that cuts nobody off is not waited for longer than this. */
const CUT_OFF_MS = 10_000

/** Past the front, for what is attacked is the server itself. Returns when the server has ended the connection. */
async function askAhead(target: string): Promise<void> {
  const { hostname, port } = new URL(target)
  const socket = connect(Number(port), hostname)
  const late = setTimeout(() => socket.destroy(), CUT_OFF_MS)
  // It is not read: that it is over shows as an error or as an end.
  socket.on('error', () => {})
  socket.write('GET /logs/main/tile/entries/000 HTTP/1.1\r\nhost: a\r\n\r\n'.repeat(REQUESTS_AHEAD))
  await once(socket, 'close')
  clearTimeout(late)
}

/** A receipt with another proof in it. */
function withProof(reply: Reply, change: (proof: string) => string): Reply {
  const receipt = JSON.parse(reply.body.toString()) as { proof: string }
  return textReply(JSON.stringify({ ...receipt, proof: change(receipt.proof) }), 'application/json')
}

function bent(proof: string): string {
  const file = parseProofFile(proof)
  return formatProofFile({ ...file, path: file.path.map(flipped) })
}

/** What the log would say if it had logged these bytes, with the proof of what it did log. */
function acknowledgement(entry: Uint8Array, { proof }: Claim): Reply {
  const { index } = parseProofFile(proof)
  const hash = toHex(leafHash(entry))
  const receipt = { index, leafHash: hash, treeSize: index + 1, duplicate: false, proof }
  return textReply(JSON.stringify(receipt), 'application/json')
}

/** A copy with one bit turned round. */
function flipped<T extends Uint8Array>(hash: T): T {
  const copy = hash.slice() as T
  copy[0]! ^= 1
  return copy
}
