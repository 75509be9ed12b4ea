// The bare Koa server of the comparisons: no routes, no middleware but one.
//   POST …          reads the body and answers JSON of the size of our receipt
//   POST …/durable  also appends the body to a file and syncs it, the least that "it is on disk" costs
//   GET …/json      1,600 bytes of JSON, like an inclusion proof at a million leaves
//   GET …           8 KiB, like a tile
import { randomBytes } from 'node:crypto'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import Koa from 'koa'

const RECEIPT = { index: 1_000_000, leafHash: 'f'.repeat(64), treeSize: 1_000_001, duplicate: false }
const PROOF = {
  index: 500_000,
  leafHash: RECEIPT.leafHash,
  treeSize: 1_000_000,
  path: Array(20).fill(RECEIPT.leafHash),
}
const TILE = randomBytes(8192)

const file = await open(join(process.argv[2], 'koa.dat'), 'a')

function bodyOf(req) {
  return new Promise((resolve, reject) => {
    const chunks = []
    req.on('data', (chunk) => chunks.push(chunk))
    req.on('end', () => resolve(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)))
    req.on('error', reject)
  })
}

const app = new Koa()
app.use(async (ctx) => {
  if (ctx.method === 'POST') {
    const body = await bodyOf(ctx.req)
    if (ctx.path.endsWith('/durable')) {
      await file.write(body)
      await file.datasync()
    }
    ctx.body = RECEIPT
  } else if (ctx.path.endsWith('/json')) {
    ctx.body = PROOF
  } else {
    ctx.type = 'application/octet-stream'
    ctx.body = TILE
  }
})
const server = app.listen(0, '127.0.0.1', () => {
  process.stdout.write(`${JSON.stringify({ url: `http://127.0.0.1:${server.address().port}` })}\n`)
})
process.on('SIGTERM', () => process.exit(0))
