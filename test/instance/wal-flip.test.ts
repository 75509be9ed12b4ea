import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { walOf } from '../storage/database.ts'
import { StoredLog } from './fixture.ts'

const large = (count: number): Uint8Array[] => Array.from({ length: count }, () => randomBytes(65_000))

test('a bit flipped in a write-ahead log of 16 MiB is named, and costs no entry, however large the commits were', async () => {
  const stored = await StoredLog.create()
  const log = await stored.open()
  // LevelDB begins a file after the first commit, and holds the other two in one.
  for (const count of [256, 60, 196]) await log.append(large(count))
  const entries = Buffer.concat(await log.readEntries(256, 316))
  await log.close()

  const wal = walOf(stored.files.database)
  const bytes = readFileSync(wal)
  expect(bytes.length).toBeGreaterThan(16_000_000)
  bytes[2_000_000]! ^= 0x10
  writeFileSync(wal, bytes)
  const files = readdirSync(stored.files.database)
  for (let i = 0; i < 2; i++) {
    await expect(stored.open()).rejects.toMatchObject({
      code: 'corrupt',
      message: expect.stringMatching(/\.log: damaged at byte \d+: its checksum does not match/) as string,
    })
  }
  expect(readdirSync(stored.files.database)).toEqual(files)
  expect(readFileSync(wal).equals(bytes)).toBe(true)

  bytes[2_000_000]! ^= 0x10
  writeFileSync(wal, bytes)
  const again = await stored.open()
  expect(Buffer.concat(await again.readEntries(256, 316)).equals(entries)).toBe(true)
  await again.close()
})
