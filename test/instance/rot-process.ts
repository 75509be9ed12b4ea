import { writeSync } from 'node:fs'
import { hasCode, SteleError } from '../../src/errors.ts'
import { encodeHead } from '../../src/log/head.ts'
import { openStoredLog } from '../../src/instance/open-log.ts'
import { SETTINGS } from './settings.ts'

/*
 * A process that opens a log whose files were spoilt, appends one entry, and proves that it extends the size it is told:
 * there is damage that makes LevelDB end the process. What came of it goes out as one line of JSON.
 */
const [folder, oldSize] = process.argv.slice(2)
const say = (line: object): void => void writeSync(1, JSON.stringify(line))

try {
  const log = await openStoredLog(folder!, 'main', SETTINGS)
  await log.append([Buffer.from('after it')])
  const { published } = log
  const path = await log.proveConsistency(Number(oldSize), published.size).catch((error: unknown) => {
    if (!hasCode(error, 'corrupt')) throw error
  })
  say({
    head: Buffer.from(encodeHead(published)).toString('base64'),
    path: path?.map((hash) => Buffer.from(hash).toString('hex')),
  })
  await log.close()
} catch (error) {
  if (!(error instanceof SteleError)) throw error
  say({ refused: error.code })
}
