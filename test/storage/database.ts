import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { Level } from 'level'

/** Kinds of records, as storage/level.ts lays them out; a tile of level L is of kind 2 + L, at its last leaf. */
export const [HEAD, ENTRY, TILE] = [0, 1, 2]

/**
 * Changes one record of a log's database while nobody has it open.
 *
 * @param change given what is there; undefined takes the record away
 */
export async function alterRecord(
  database: string,
  position: number,
  kind: number,
  change: (old: Buffer) => Uint8Array | undefined,
): Promise<void> {
  const db = new Level<Uint8Array, Uint8Array>(database, { keyEncoding: 'view', valueEncoding: 'view' })
  const key = Buffer.alloc(9)
  key.writeBigUInt64BE(BigInt(position))
  key[8] = kind
  const value = change(Buffer.from((await db.get(key)) ?? []))
  await (value ? db.put(key, value, { sync: true }) : db.del(key, { sync: true }))
  await db.close()
}

/** The write-ahead log that holds something. */
export function walOf(database: string): string {
  const names = readdirSync(database).filter((name) => name.endsWith('.log'))
  return join(
    database,
    names.find((name) => statSync(join(database, name)).size > 0)!,
  )
}
