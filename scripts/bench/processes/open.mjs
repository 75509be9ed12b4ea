// Opens a log once, or only its two databases, and says how long that took. Node's own start does not count.
import { join } from 'node:path'
import { Level } from 'level'
import { openStoredLog } from '../../../dist/instance/open-log.js'
import { DEFAULTS } from '../lib/settings.mjs'

/** @type {{ data: string, what: 'log' | 'databases' }} */
const task = JSON.parse(process.argv[2])

const startedMs = performance.now()
const opened = task.what === 'log' ? [await openStoredLog(task.data, 'main', DEFAULTS)] : await databases()
const ms = performance.now() - startedMs
for (const each of opened) await each.close()
process.stdout.write(`${JSON.stringify({ ms })}\n`)

async function databases() {
  const folders = ['database', 'leaf-index'].map((name) => join(task.data, 'logs', 'main', name))
  const both = folders.map((folder) => new Level(folder, { createIfMissing: false }))
  for (const db of both) await db.open()
  return both
}
