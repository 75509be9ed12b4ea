import { statfs } from 'node:fs/promises'

/** Bytes that this process may still write where a folder is; undefined when that cannot be said. */
export async function freeBytes(folder: string): Promise<number | undefined> {
  const disk = await statfs(folder).catch(() => undefined)
  return disk && disk.bavail * disk.bsize
}
