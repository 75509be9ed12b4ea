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

/** Forges the responses for some paths, and passes other requests. */
export function lying(isMeant: (passing: Passing) => boolean, lie: Lie): Lie {
  return (passing) => (isMeant(passing) ? lie(passing) : passing.genuine())
}

/** Serves another text as the checkpoint. */
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
    title: 'send 150 requests on one connection, and read no response',
    lookouts: [server('overloaded'), newcomer(undefined), monitor(undefined)],
    act: async ({ parts: { front } }) => askAhead(front.target),
  },
  {
    name: 'forge-inclusion',
    title: 'use a genuine proof for another entry, and alter the hashes of receipts',
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
    title: 'alter the proof that the newest tree extends an older one',
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
    title: "resolve a web site's name to loopback, and append from its page",
    lookouts: [logTakesFromPage('wrong_host')],
    act: async (stage) => {
      stage.pageName = 'evil.example'
    },
  },
]

const REQUESTS_AHEAD = 150
/** How long to wait for the server to disconnect the client. */
const CUT_OFF_MS = 10_000

/** Connects past the proxy, since the server itself is attacked. Returns when the server has closed the connection. */
async function askAhead(target: string): Promise<void> {
  const { hostname, port } = new URL(target)
  const socket = connect(Number(port), hostname)
  const late = setTimeout(() => socket.destroy(), CUT_OFF_MS)
  // Nothing is read from the socket. The disconnect shows as an error or as the end.
  socket.on('error', () => {})
  socket.write('GET /logs/main/tile/entries/000 HTTP/1.1\r\nhost: a\r\n\r\n'.repeat(REQUESTS_AHEAD))
  await once(socket, 'close')
  clearTimeout(late)
}

/** A receipt with its proof replaced. */
function withProof(reply: Reply, change: (proof: string) => string): Reply {
  const receipt = JSON.parse(reply.body.toString()) as { proof: string }
  return textReply(JSON.stringify({ ...receipt, proof: change(receipt.proof) }), 'application/json')
}

function bent(proof: string): string {
  const file = parseProofFile(proof)
  return formatProofFile({ ...file, path: file.path.map(flipped) })
}

/** The receipt that the log would give for these bytes, with the proof of the entry that it did log. */
function acknowledgement(entry: Uint8Array, { proof }: Claim): Reply {
  const { index } = parseProofFile(proof)
  const hash = toHex(leafHash(entry))
  const receipt = { index, leafHash: hash, treeSize: index + 1, duplicate: false, proof }
  return textReply(JSON.stringify(receipt), 'application/json')
}

/** A copy with one bit flipped. */
function flipped<T extends Uint8Array>(hash: T): T {
  const copy = hash.slice() as T
  copy[0]! ^= 1
  return copy
}
