// Fills the write-ahead log of a log with large batches, and ends as by kill -9: nothing is closed.
import { randomBytes } from 'node:crypto'
import { openStoredLog } from '../../../dist/instance/open-log.js'
import { DEFAULTS } from '../lib/settings.mjs'

/** Entries of 64 KiB in each commit. LevelDB begins a file after the first, and holds the other two in one of 16 MiB. */
const COMMITS = [256, 60, 196]

/** @type {{ data: string }} */
const { data } = JSON.parse(process.argv[2])
const log = await openStoredLog(data, 'main', DEFAULTS)
for (const count of COMMITS) await log.append(Array.from({ length: count }, () => randomBytes(65_000)))
process.stdout.write('{}\n', () => process.exit(0))
