import type { CosignerMetrics } from '../http/cosigner-metrics.ts'
import { createWitnessMetrics } from '../http/witness-metrics.ts'
import { createWitnessServer } from '../http/witness-server.ts'
import { verifiersOf } from '../witness/keys.ts'
import { openWitnessState } from '../witness/level.ts'
import type { WitnessStore } from '../witness/store.ts'
import { Witness } from '../witness/witness.ts'
import { cosignerLimits } from './cosigner-config.ts'
import { openCosignerFolder, type RunningCosigner } from './cosigner-start.ts'
import { evidenceReports } from './evidence-reports.ts'
import { readLogList } from './log-list.ts'
import { listen, stopListening } from './listen.ts'
import type { WitnessConfig } from './witness-config.ts'
import { witnessFiles } from './witness-folder.ts'
import type { ServerLog } from './server-log.ts'

export interface RunningWitness extends RunningCosigner {
  readonly witness: Witness
}

/** A cosignature from further in the future than this was dated by a wrong clock. */
const CLOCK_TOLERANCE_SECONDS = 300

/**
 * Opens a witness folder and serves it.
 *
 * @throws SteleError as `openCosignerFolder`, `readLogList` and `openWitnessState`; `io_error` if the port is taken
 */
export async function startWitness(
  config: WitnessConfig,
  logger: ServerLog,
  nowMs: () => number = Date.now,
): Promise<RunningWitness> {
  const { keys, evidence } = await openCosignerFolder('witness', config.data)
  const files = witnessFiles(config.data)
  const own = verifiersOf(keys)
  const logs = await readLogList(files.logs, own)
  const store = await openWitnessState(files.state, own)
  try {
    const metrics = createWitnessMetrics(store, nowMs, logger.linesLost)
    const events = evidenceReports(evidence, metrics, logger)
    const witness = new Witness({ logs, keys, store, evidence, nowMs, events })
    warnOfFuture(store, nowMs(), logger)
    return await serve(witness, store, { config, metrics, logger, nowMs })
  } catch (error) {
    await store.close()
    throw error
  }
}

/** The statements of this witness never go back in time: a clock that was ahead once holds them there. */
function warnOfFuture(store: WitnessStore, nowMs: number, logger: ServerLog): void {
  for (const { checkpoint, timestampSeconds } of store.heads()) {
    const aheadSeconds = timestampSeconds - Math.floor(nowMs / 1000)
    if (aheadSeconds <= CLOCK_TOLERANCE_SECONDS) continue
    logger.warn({ origin: checkpoint.origin, aheadSeconds }, 'the last cosignature is dated in the future')
  }
}

interface Serving {
  readonly config: WitnessConfig
  readonly metrics: CosignerMetrics
  readonly logger: ServerLog
  readonly nowMs: () => number
}

async function serve(witness: Witness, store: WitnessStore, serving: Serving): Promise<RunningWitness> {
  const { config, metrics, logger, nowMs } = serving
  const stopping = new AbortController()
  const limits = cosignerLimits(config)
  const server = createWitnessServer({ witness, limits, nowMs, metrics, logger, stopping: stopping.signal })
  const url = await listen(server, config)
  logger.info({ url, logs: witness.logs.length }, 'listening')
  return {
    url,
    witness,
    logs: witness.logs,
    async close() {
      stopping.abort()
      await stopListening(server, () => store.close())
      logger.info('stopped')
    },
  }
}
