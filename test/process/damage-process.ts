import { cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { SteleError } from '../../src/errors.ts'
import { logFiles } from '../../src/instance/data-folder.ts'
import { openStoredLog } from '../../src/instance/open-log.ts'
import { SETTINGS } from '../instance/settings.ts'
import { Random } from './random.ts'

/*
 * A process that damages files of a log's database, again and again, each time a fresh copy, and reads every entry and tile
 * of what opens. It says what came of each round as a line of JSON; where LevelDB ends it, a line is missing.
 */
const [folder, copy, seed, rounds] = process.argv.slice(2)
const say = (line: object): void => void writeSync(1, `${JSON.stringify(line)}\n`)
const random = new Random(Number(seed))
const below = (n: number): number => random.between(0, n - 1)
const { database } = logFiles(copy!, 'main')

function spoil(): string {
  const isTable = below(3) > 0
  const files = readdirSync(database).filter((name) => (isTable ? /\.ldb$/ : /\.log$|^MANIFEST/).test(name))
  // The larger a table, the likelier it is hit.
  const sizes = files.map((name) => (isTable ? statSync(join(database, name)).size : 1))
  let left = below(sizes.reduce((sum, size) => sum + size, 0))
  const name = files[sizes.findIndex((size) => (left -= size) < 0)]!
  const path = join(database, name)
  const bytes = readFileSync(path)
  if (bytes.length === 0) return `${name}: empty`
  const at = below(bytes.length)
  const page = at - (at % 4096)
  const kind = below(3)
  if (kind === 0) bytes.fill(0, page, Math.min(page + 4096, bytes.length))
  else if (kind === 1) bytes[at]! ^= 1 << below(8)
  else for (let i = at; i < Math.min(at + 512, bytes.length); i++) bytes[i] = below(256)
  writeFileSync(path, bytes)
  return `${name}: ${['a page of zeros', 'a bit', 'noise'][kind]} at ${at}`
}

for (let round = 0; round < Number(rounds); round++) {
  rmSync(copy!, { recursive: true, force: true })
  cpSync(folder!, copy!, { recursive: true })
  const what = spoil()
  try {
    const log = await openStoredLog(copy!, 'main', SETTINGS)
    const { size } = log.published
    const wrong: string[] = []
    let named = 0
    const check = async (place: string, read: () => Promise<boolean>): Promise<void> => {
      try {
        if (!(await read())) wrong.push(place)
      } catch (error) {
        if (!(error instanceof SteleError) || !error.message.includes('checksum')) throw error
        named++
      }
    }
    const textOf = (index: number): string => `entry ${index} of the log, forty bytes`
    for (let begin = 0; begin < size; begin += 256) {
      const end = Math.min(begin + 256, size)
      const bundle = await log.readEntries(begin, end).catch(() => undefined)
      if (bundle?.every((entry, i) => Buffer.from(entry).toString() === textOf(begin + i))) continue
      for (let index = begin; index < end; index++) {
        await check(`entry ${index}`, async () => {
          const [entry] = await log.readEntries(index, index + 1)
          return Buffer.from(entry!).toString() === textOf(index)
        })
      }
    }
    for (let index = 0; index < Math.floor(size / 256); index++) {
      await check(
        `tile ${index}`,
        async () => (await log.readTile({ level: 0, index, width: 256 })).length === 8192,
      )
    }
    await log.close()
    say({ what, size, wrong, named })
  } catch (error) {
    if (!(error instanceof SteleError)) throw error
    say({ what, refused: error.code, message: error.message })
  }
}
