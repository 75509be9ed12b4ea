import { statfs } from 'node:fs/promises'

/** A network disk that is gone may never answer. */
const ANSWER_MS = 2000

/** Bytes that this process may still write where a folder is; undefined when that cannot be said, or not in time. */
export async function freeBytes(folder: string): Promise<number | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ANSWER_MS).unref()
  })
  const disk = await Promise.race([statfs(folder).catch(() => undefined), late])
  clearTimeout(timer)
  return disk && disk.bavail * disk.bsize
}
