import { describe, expect, it } from 'vitest'
import type { SteleError } from '../../src/errors.ts'
import { LogMonitor } from '../../src/monitor/log-monitor.ts'
import { createMonitorMetrics } from '../../src/monitor/metrics.ts'
import { watch, type WatchOptions } from '../../src/monitor/watch.ts'
import { FakeLog, problem } from '../client/fake-log.ts'
import { LOG, stage, type Stage } from './stage.ts'

/** Watches until so many rounds are over, whatever became of them. */
async function rounds(
  monitor: LogMonitor,
  count: number,
  then?: (round: number) => unknown,
): Promise<SteleError[]> {
  const stop = new AbortController()
  const troubles: SteleError[] = []
  let done = 0
  const next = (): void => {
    done++
    then?.(done)
    if (done === count) stop.abort()
  }
  const options: WatchOptions = {
    intervalMs: 10_000,
    signal: stop.signal,
    onRound: next,
    onTrouble: (_, error) => {
      troubles.push(error)
      next()
    },
  }
  await watch(monitor, options)
  return troubles
}

const polls = ({ log }: Stage): number => log.asked.filter((path) => path.startsWith('v1/checkpoint')).length

describe('watching', () => {
  it('looks again after the interval where a log is only files, and asks once whether it is more', async () => {
    const made = await stage(3)
    await rounds(await made.start(), 4)
    expect(polls(made)).toBe(1)
    expect(made.clock.naps.slice(0, 3)).toEqual([10_000, 10_000, 10_000])
  })

  it('waits by long poll where the log has it', async () => {
    const made = await stage(3)
    made.log.lie = async (path) => {
      if (!path.startsWith('v1/checkpoint')) return undefined
      await made.log.add(['more'])
      return new Response(made.log.note, { headers: { 'content-type': 'text/plain' } })
    }
    const monitor = await made.start()
    await rounds(monitor, 4)
    expect([monitor.status.nextIndex, made.clock.naps]).toEqual([6, []])
  })

  it('is not kept busy by a log that cries wolf', async () => {
    const made = await stage(3)
    made.log.lie = (path) =>
      path.startsWith('v1/checkpoint')
        ? new Response(made.log.note, { headers: { 'content-type': 'text/plain' } })
        : undefined
    await rounds(await made.start(), 7)
    // A cry, and then a rest.
    expect([polls(made), made.clock.naps]).toEqual([3, [10_000, 10_000, 10_000]])
  })

  it('goes on after the disk was full, and says so each time', async () => {
    const made = await stage(3)
    made.store.full = true
    const monitor = await made.start()
    const troubles = await rounds(monitor, 3, (round) => (made.store.full = round < 2))
    expect(troubles.map(({ code }) => code)).toEqual(['io_error', 'io_error'])
    expect(monitor.status.nextIndex).toBe(3)
  })

  it('of one log does not suffer from another that fails', async () => {
    const [good, bad] = [await stage(3), await stage(3)]
    bad.log.lie = () => problem(502, 'x', 'gone')
    bad.store.full = true
    const [monitor, other] = [await good.start(), await bad.start()]
    await Promise.all([
      rounds(monitor, 3, (round) => round === 1 && void good.log.add(['more'])),
      rounds(other, 3),
    ])
    expect(monitor.status).toMatchObject({ treeSize: 4, nextIndex: 4 })
    expect(good.printed).toEqual([])
    expect(bad.printed.map(({ kind }) => kind)).toEqual(['unreachable'])
  })

  it('ends in the middle of a round', async () => {
    const log = await FakeLog.create(3)
    const stop = new AbortController()
    const { store, outbox } = await stage(0)
    const fetch = () => {
      stop.abort()
      return new Promise<Response>(() => {})
    }
    const monitor = await LogMonitor.open(LOG, { store, outbox, transport: { fetch }, signal: stop.signal })
    await watch(monitor, { intervalMs: 1, signal: stop.signal, onTrouble: () => expect.unreachable() })
    expect(log.asked).toEqual([])
  })
})

describe('metrics', () => {
  it('say what was found, what is wrong now, and how far each log was followed', async () => {
    const made = await stage(5)
    const monitor = await made.start()
    const metrics = createMonitorMetrics()
    metrics.watch([monitor], made.outbox)
    expect(await metrics.text()).toContain(
      'stele_monitor_findings_total{log="log.example/logs/fake",kind="fork"} 0',
    )
    await monitor.round()
    made.log.lie = () => 'garbage'
    for (const finding of await monitor.round()) metrics.onFinding(finding)
    metrics.onDelivery({ url: 'https://hooks.example/secret', finding: made.printed[0]!, outcome: 'failed' })
    const text = await metrics.text()
    for (const line of [
      'stele_monitor_findings_total{log="log.example/logs/fake",kind="bad_signature"} 1',
      'stele_monitor_open_findings{log="log.example/logs/fake",kind="bad_signature"} 1',
      'stele_monitor_tree_size{log="log.example/logs/fake"} 5',
      'stele_monitor_next_index{log="log.example/logs/fake"} 5',
      'stele_monitor_webhook_attempts_total{webhook="hooks.example",outcome="failed"} 1',
    ]) {
      expect(text).toContain(line)
    }
    expect(text).not.toContain('secret')
  })
})
