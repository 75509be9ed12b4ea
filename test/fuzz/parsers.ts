import { clientAddress, parseAddressSet } from '../../src/access/address.ts'
import { generateApiKey, parseApiKey, claimedId } from '../../src/access/api-key.ts'
import { redact } from '../../src/access/redact.ts'
import { parseAccessState } from '../../src/access/state.ts'
import { decodeUtf8 } from '../../src/bytes/text.ts'
import type { ErrorCode } from '../../src/errors.ts'
import { acceptsGzip, prefersOver } from '../../src/http/accept.ts'
import { batchParser, ENTRY_BUNDLE, NDJSON } from '../../src/http/batch.ts'
import { networkOf } from '../../src/http/rates.ts'
import { formatCheckpoint, parseCheckpoint } from '../../src/note/checkpoint.ts'
import { KEY_TYPE } from '../../src/note/key-id.ts'
import { formatVerifierKey, generateSigningKey, parseVerifierKey, verifierKey } from '../../src/note/key.ts'
import { parseNote, parseSignatures, signNote } from '../../src/note/note.ts'
import { parseProofFile } from '../../src/note/proof-file.ts'
import { asHash } from '../../src/merkle/hash.ts'
import { parsePolicy } from '../../src/policy/parse.ts'
import { decodeBundle, encodeBundle } from '../../src/tile/bundle.ts'
import { parseTilePath } from '../../src/tile/path.ts'
import { parseAddCheckpoint, parseSignSubtree } from '../../src/note/add-checkpoint.ts'

/** A parser that meets the network, what it reads, and how it may refuse. */
export interface Fuzzed {
  readonly name: string
  readonly samples: readonly Uint8Array[]
  readonly parse: (bytes: Uint8Array) => unknown
  readonly codes: readonly ErrorCode[]
  /** Hostile input of about so many bytes, for what its length costs. */
  readonly big: readonly ((size: number) => Uint8Array)[]
}

const bytesOf = (text: string): Uint8Array => Buffer.from(text)
const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')
const repeated =
  (unit: string, before = '', after = '') =>
  (size: number) =>
    bytesOf(before + unit.repeat(Math.ceil(size / unit.length)) + after)

/** Everything that reads what somebody else wrote. */
export async function fuzzedParsers(): Promise<Fuzzed[]> {
  const key = generateSigningKey('log.example/fuzz', new Uint8Array(32).fill(7))
  const vkey = formatVerifierKey(key.verifier)
  const witness = formatVerifierKey(
    verifierKey('w.example', KEY_TYPE.ed25519Cosignature, key.verifier.publicKey),
  )
  const hash = Buffer.alloc(32, 5).toString('base64')
  const text = formatCheckpoint({
    origin: 'log.example/fuzz',
    size: 14,
    root: asHash(new Uint8Array(32), 'root'),
  })
  const note = await signNote(text, [key])
  const block = note.slice(note.lastIndexOf('\n\n') + 2)
  const malformed = ['malformed'] as const
  const numbered = ['malformed', 'out_of_range'] as const
  return [
    {
      name: 'notes',
      samples: [bytesOf(note)],
      parse: parseNote,
      codes: malformed,
      big: [
        repeated('\n', '', block),
        repeated('\n\n', 'a', block),
        repeated(block, `${text}\n`),
        repeated('\u2014 '),
      ],
    },
    {
      name: 'signature lines',
      samples: [bytesOf(block)],
      parse: (bytes) => parseSignatures(decodeUtf8(bytes, 'signature lines')),
      codes: malformed,
      big: [repeated(block), repeated('\n'), repeated(' ', '\u2014', '\n'), repeated('A', '\u2014 x ', '\n')],
    },
    {
      name: 'checkpoints',
      samples: [bytesOf(text)],
      parse: (bytes) => parseCheckpoint(decodeUtf8(bytes, 'checkpoint')),
      codes: numbered,
      big: [repeated('ext\n', text), repeated('9', 'o\n', '\nAAAA\n'), repeated('\n')],
    },
    {
      name: 'verifier keys',
      samples: [bytesOf(vkey)],
      parse: (bytes) => parseVerifierKey(textOf(bytes)),
      codes: malformed,
      big: [repeated('+'), repeated('a', '', '+00000000+AA'), repeated('A', 'a+00000000+')],
    },
    {
      name: 'policies',
      samples: [
        bytesOf(`log ${vkey}\nwitness w ${witness} https://w.example\ngroup g all w\nquorum g\n`),
        bytesOf('quorum none\n'),
      ],
      parse: parsePolicy,
      codes: malformed,
      big: [
        repeated('# comment\n', '', 'quorum none\n'),
        repeated(' ', 'quorum', 'none'),
        repeated('group g all \n'),
        repeated(`log ${vkey}\n`),
      ],
    },
    {
      name: 'proof files',
      samples: [
        bytesOf(`c2sp.org/tlog-proof@v1\nindex 3\n${hash}\n${hash}\n\n${note}`),
        bytesOf(`c2sp.org/tlog-proof@v1\nextra ${hash}\nindex 0\n\n${note}`),
      ],
      parse: parseProofFile,
      codes: numbered,
      big: [
        repeated(`${hash}\n`, 'c2sp.org/tlog-proof@v1\nindex 3\n', `\n${note}`),
        repeated('\n', 'c2sp.org/tlog-proof@v1\nindex 3\n'),
        repeated('A', 'c2sp.org/tlog-proof@v1\nextra '),
      ],
    },
    {
      name: 'tile paths',
      samples: ['tile/0/000', 'tile/3/x001/x234/067.p/17', 'tile/entries/x002/000.p/255'].map(bytesOf),
      parse: (bytes) => parseTilePath(textOf(bytes)),
      codes: numbered,
      big: [repeated('x000/', 'tile/0/', '000'), repeated('0', 'tile/0/'), repeated('/', 'tile/0/')],
    },
    {
      name: 'batches of lines',
      samples: [bytesOf('one\ntwo\nthree'), bytesOf('{"a":1}\n')],
      parse: (bytes) => inPieces(bytes, NDJSON),
      codes: ['malformed', 'too_large'],
      big: [repeated('a\n'), repeated('\n'), repeated('a')],
    },
    {
      name: 'batches of entry bundles',
      samples: [encodeBundle(['a', 'bb', ''].map(bytesOf))],
      parse: (bytes) => inPieces(bytes, ENTRY_BUNDLE),
      codes: ['malformed', 'too_large'],
      big: [repeated('\0'), repeated('\0\x01a'), repeated('\x7f')],
    },
    {
      name: 'entry bundles of mirrors',
      samples: [encodeBundle(['a', 'bb', ''].map(bytesOf))],
      parse: (bytes) => decodeBundle(bytes),
      codes: malformed,
      big: [repeated('\0'), repeated('\0\x01a')],
    },
    {
      name: 'bodies of add-checkpoint',
      samples: [bytesOf(`old 3\n${hash}\n${hash}\n\n${note}`), bytesOf(`old 0\n\n${note}`)],
      parse: parseAddCheckpoint,
      codes: numbered,
      big: [repeated(`${hash}\n`, 'old 3\n', `\n${note}`), repeated('\n', 'old 3\n'), repeated('9', 'old ')],
    },
    {
      name: 'bodies of sign-subtree',
      samples: [bytesOf(`subtree 8 12\n${hash}\n${hash}\n\n${note}`)],
      parse: parseSignSubtree,
      codes: numbered,
      big: [repeated(`${hash}\n`, 'subtree 8 12\n', `\n${note}`), repeated(' 1', 'subtree')],
    },
    {
      name: 'API keys',
      samples: [bytesOf(generateApiKey('writer').text)],
      parse: (bytes) => parseApiKey(textOf(bytes)),
      codes: ['unauthenticated'],
      big: [repeated('_', 'st_writer'), repeated('a', 'st_'), repeated('st_')],
    },
    {
      name: 'what is covered of keys in a URL',
      samples: [bytesOf(`/logs/main/checkpoint?key=${generateApiKey('admin').text}`)],
      parse: (bytes) => [redact(textOf(bytes)), claimedId(`Bearer ${textOf(bytes)}`)],
      codes: [],
      big: [
        repeated('st_'),
        repeated('st_a_'),
        repeated(`st_a_${'a'.repeat(16)}_a`),
        repeated('a', 'st_'),
        repeated(' ', 'Bearer'),
      ],
    },
    {
      name: 'addresses behind proxies',
      samples: ['203.0.113.9, 10.0.0.1', '2001:db8::1,::1', '::ffff:10.0.0.1', 'fe80::1%eth0'].map(bytesOf),
      parse: (bytes) => networkOf(clientAddress('10.0.0.1', textOf(bytes), PROXIES)),
      codes: [],
      big: [repeated('10.0.0.1,'), repeated(','), repeated(':'), repeated('::ffff:')],
    },
    {
      name: 'address ranges',
      samples: ['10.0.0.0/8', '2001:db8::/32', '::1', '192.0.2.1/32'].map(bytesOf),
      parse: (bytes) => parseAddressSet([textOf(bytes)], 'addresses').has('10.0.0.1'),
      codes: ['usage'],
      big: [repeated('/'), repeated('1', '10.0.0.0/'), repeated(':')],
    },
    {
      name: 'Accept and Accept-Encoding',
      samples: ['text/plain;q=0.5, application/json', 'gzip, br;q=0', '*/*'].map(bytesOf),
      parse: (bytes) => [
        prefersOver(textOf(bytes), 'application/json', 'text/plain'),
        acceptsGzip(textOf(bytes)),
      ],
      codes: [],
      big: [repeated(','), repeated(';', 'a'), repeated(' ', 'a;', 'q=1'), repeated('a;q=0.1,')],
    },
    {
      name: 'access.json',
      samples: [bytesOf('{"format":"stele access","version":1,"keys":[]}')],
      parse: (bytes) => parseAccessState(textOf(bytes), 'access.json'),
      codes: ['foreign_format'],
      big: [repeated('[', '{"format":"stele access","version":1,"keys":')],
    },
  ]
}

const PROXIES = parseAddressSet(['10.0.0.0/8', '::1', 'fe80::/10'], 'test')

/** As it may come from the network: in two pieces. */
function inPieces(bytes: Uint8Array, type: string): unknown {
  const parser = batchParser(type, 1000)
  const half = bytes.length >> 1
  parser.push(bytes.subarray(0, half))
  parser.push(bytes.subarray(half))
  return parser.end()
}
