import { statfs } from 'node:fs/promises'

/** A network disk that has failed may never answer. */
const ANSWER_MS = 2000

/** Free bytes on the disk of a folder; undefined when that is unknown or the disk does not answer in time. */
export async function freeBytes(folder: string): Promise<number | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ANSWER_MS).unref()
  })
  const disk = await Promise.race([statfs(folder).catch(() => undefined), late])
  clearTimeout(timer)
  return disk && disk.bavail * disk.bsize
}
