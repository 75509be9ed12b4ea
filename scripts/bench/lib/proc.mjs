// What Linux tells about processes and the machine. Elsewhere the answers are undefined, and the tables say less.
import { readFileSync } from 'node:fs'

const TICKS_PER_SECOND = 100

function read(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

/**
 * Resident memory of a process in MB (10^6 bytes), whole and by kind: its own pages, and pages of files that the
 * kernel could take back at any time, such as LevelDB's mapped tables.
 *
 * @param {number | 'self'} pid
 * @returns {{ rss: number, anon: number, file: number, peak: number } | undefined}
 */
export function memoryOf(pid) {
  const text = read(`/proc/${pid}/status`)
  if (text === undefined) return undefined
  const field = (name) =>
    (Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) * 1024) / 1e6
  return { rss: field('VmRSS'), anon: field('RssAnon'), file: field('RssFile'), peak: field('VmHWM') }
}

/** Processor seconds that a process has used. */
export function cpuSecondsOf(pid) {
  const fields = read(`/proc/${pid}/stat`)
    ?.replace(/^.*\) /, '')
    .split(' ')
  return fields && (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

/** Processor seconds of this process and of all its children that have ended. */
function ownSeconds() {
  const fields = read('/proc/self/stat')
    ?.replace(/^.*\) /, '')
    .split(' ')
  return fields && fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0) / TICKS_PER_SECOND
}

/** Processor seconds that all the machine's cores were busy with something, or taken away by a hypervisor. */
function busySeconds() {
  const fields = read('/proc/stat')?.split('\n', 1)[0].trim().split(/\s+/).slice(1).map(Number)
  if (!fields) return undefined
  const [user, nice, system, , , irq, softirq, steal] = fields
  return (user + nice + system + irq + softirq + steal) / TICKS_PER_SECOND
}

/**
 * Starts to watch how much others use the machine.
 *
 * @returns {() => number | undefined} cores that others kept busy since; right once all children have ended
 */
export function watchOthers() {
  const [own, busy, startedMs] = [ownSeconds(), busySeconds(), performance.now()]
  return () => {
    if (own === undefined || busy === undefined) return undefined
    const seconds = (performance.now() - startedMs) / 1000
    return Math.max(0, (busySeconds() - busy - (ownSeconds() - own)) / seconds)
  }
}

/** The children of a process. */
export function childrenOf(pid) {
  return (read(`/proc/${pid}/task/${pid}/children`) ?? '').trim().split(/\s+/).filter(Boolean).map(Number)
}
