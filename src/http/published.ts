import type { ServerResponse } from 'node:http'
import type { Log } from '../log/log.ts'
import { overSignal } from './answer.ts'

/**
 * Waits until the published tree is larger than `size`.
 *
 * @returns false when the time ran out, the caller disconnected or the server is stopping
 */
export async function publishedPast(
  log: Log,
  size: number,
  wait: { timeoutMs: number; res: ServerResponse; stopping: AbortSignal | undefined },
): Promise<boolean> {
  if (log.published.size > size) return true
  const ended = new AbortController()
  const end = (): void => ended.abort()
  if (wait.stopping?.aborted) end()
  const timer = setTimeout(end, wait.timeoutMs)
  const over = overSignal(wait.res)
  if (over.aborted) end()
  over.addEventListener('abort', end, { once: true })
  wait.stopping?.addEventListener('abort', end, { once: true })
  try {
    return await log.whenPublishedPast(size, ended.signal)
  } finally {
    clearTimeout(timer)
    wait.stopping?.removeEventListener('abort', end)
  }
}
