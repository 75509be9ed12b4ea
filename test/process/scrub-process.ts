import { writeSync } from 'node:fs'
import { Host } from '../../src/instance/host.ts'
import { SETTINGS } from '../instance/settings.ts'

/*
 * A process that opens the logs of a folder and does nothing but scrub them, without rest: sleeping moves its clock and
 * costs a turn. What its scrubbers say goes out as lines of JSON. With "once" it stops cleanly after a pass of each log;
 * else it goes on until somebody ends it.
 */
const [folder, mode] = process.argv.slice(2)
let ms = Date.now()
const passed = new Set<string>()
const say = (line: Record<string, unknown>): void => void writeSync(1, `${JSON.stringify(line)}\n`)

const host = await Host.open({
  folder: folder!,
  settings: SETTINGS,
  reopenAfterMs: 1000,
  reopenAtMostMs: 1000,
  openWithinMs: 10_000,
  openWrites: true,
  scrubBytesPerSecond: 1e9,
  scrubClock: {
    nowMs: () => ms,
    async sleep(forMs) {
      ms += forMs
      await new Promise((resolve) => setImmediate(resolve))
    },
  },
  events: {
    opened: (log) => say({ opened: log }),
    failed: (log, { code }) => say({ failed: log, code }),
    witnessFailed() {},
    publishedWithoutQuorum() {},
    scrub: (log) => ({
      onFinding: ({ place, message }) => say({ found: place, log, message }),
      onCleared: ({ place }) => say({ cleared: place, log }),
      onReadError: ({ message }) => say({ error: message, log }),
      onPassDone({ findings }) {
        say({ passed: log, findings })
        passed.add(log)
        if (mode === 'once' && passed.size === host.list().length) void host.close()
      },
    }),
  },
})
