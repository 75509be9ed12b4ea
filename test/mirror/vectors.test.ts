import { gunzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import { parseVerifierKey } from '../../src/note/key.ts'
import { openNote } from '../../src/note/note.ts'
import { MIRROR_KEY, testMirror } from './fixture.ts'
import vectors from '../vectors/gen-mirror-add-entries.json' with { type: 'json' }
import { OCTETS, serveMirror } from './server.ts'
import type { TestServer } from '../http/server.ts'

async function freshMirror(): Promise<TestServer> {
  const { mirror } = await testMirror({
    origin: vectors.origin_line,
    keys: [parseVerifierKey(vectors.log_vkey)],
  })
  const server = await serveMirror(mirror)
  const added = await server.post('/add-checkpoint', encodeUtf8(`old 0\n\n${vectors.pending_checkpoint}`))
  expect([added.status, added.text]).toEqual([200, ''])
  return server
}

test.each([{ sent: 'as it is' }, { sent: 'compressed' }])(
  'every upload of the vectors is answered as it should be, sent $sent',
  async ({ sent }) => {
    let server = await freshMirror()
    for (const { name, fresh_mirror: fresh, body_gzip_base64: base64, ...expected } of vectors.cases) {
      if (fresh) server = await freshMirror()
      const gzipped = Buffer.from(base64, 'base64')
      const reply =
        sent === 'compressed'
          ? await server.post('/add-entries', gzipped, { ...OCTETS, 'content-encoding': 'gzip' })
          : await server.post('/add-entries', gunzipSync(gzipped), OCTETS)
      expect([name, reply.status]).toEqual([name, expected.status])
      const lines = reply.text.split('\n').slice(0, 2)
      if (expected.response_first_lines) expect(`${lines.join('\n')}\n`).toBe(expected.response_first_lines)
      if (expected.response_content_type)
        expect(reply.headers['content-type']).toBe(expected.response_content_type)
      if (expected.status === 200) {
        const { signatures } = openNote(vectors.pending_checkpoint + reply.text, [MIRROR_KEY.verifier])
        expect(signatures).toHaveLength(1)
      }
    }
  },
)
