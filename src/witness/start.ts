import { type CosignerMetrics, createWitnessMetrics } from './metrics.ts'
import { createWitnessServer } from './routes.ts'
import { verifiersOf } from './keys.ts'
import { openWitnessState } from './level.ts'
import type { WitnessStore } from './store.ts'
import { Witness } from './witness.ts'
import { cosignerLimits, followedList, readAdminToken, type WitnessConfig } from './cosigner-config.ts'
import { openCosignerFolder, sayServing, type RunningCosigner } from './cosigner-start.ts'
import { evidenceReports } from './evidence-folder.ts'
import { LogKeeper } from './log-keeper.ts'
import { listen, stopListening } from '../http/listen.ts'
import { witnessFiles } from './cosigner-folder.ts'
import type { ServerLog } from '../http/server-log.ts'

export interface RunningWitness extends RunningCosigner {
  readonly witness: Witness
}

/** A cosignature from further in the future than this was dated by a wrong clock. */
const CLOCK_TOLERANCE_SECONDS = 300

/**
 * Opens a witness folder and serves it.
 *
 * @throws SteleError as `openCosignerFolder`, `readAdminToken`, `LogKeeper.open` and `openWitnessState`; `io_error` if the port is taken
 */
export async function startWitness(
  config: WitnessConfig,
  logger: ServerLog,
  nowMs: () => number = Date.now,
): Promise<RunningWitness> {
  const { keys, evidence } = await openCosignerFolder('witness', config.data)
  const own = verifiersOf(keys)
  const token = await readAdminToken(config)
  const keeper = new LogKeeper({
    kind: 'witness',
    folder: config.data,
    own,
    list: followedList(config),
    logger,
    makeRoom: async () => {},
    apply: async (logs) => witness.replaceLogs(logs),
  })
  const logs = await keeper.open()
  const store = await openWitnessState(witnessFiles(config.data).state, own)
  const metrics = createWitnessMetrics(store, nowMs, logger.linesLost)
  const events = evidenceReports(evidence, metrics, logger)
  let witness: Witness
  try {
    witness = new Witness({ logs, keys, store, evidence, nowMs, events })
    warnOfFuture(store, nowMs(), logger)
    return await serve(witness, keeper, store, { config, metrics, logger, nowMs, token })
  } catch (error) {
    await store.close()
    throw error
  }
}

/**
 * Warns of cosignatures with a future time. The times of this witness never go back, so a clock that was once ahead
 * keeps them there.
 */
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
  readonly token: string | undefined
}

async function serve(
  witness: Witness,
  keeper: LogKeeper,
  store: WitnessStore,
  { config, metrics, logger, nowMs, token }: Serving,
): Promise<RunningWitness> {
  const stopping = new AbortController()
  const admin = token === undefined ? undefined : { token, logs: keeper }
  const limits = cosignerLimits(config)
  const deps = { witness, limits, nowMs, metrics, logger, stopping: stopping.signal, admin }
  const server = createWitnessServer(deps)
  await sayServing(config.data, undefined, logger)
  const url = await listen(server, config)
  await sayServing(config.data, url, logger)
  keeper.follow()
  logger.info({ url, logs: witness.logs.length }, 'listening')
  return {
    url,
    witness,
    get logs() {
      return witness.logs
    },
    reload: () => keeper.reload(),
    async close() {
      stopping.abort()
      await stopListening(server, async () => {
        await keeper.close()
        await sayServing(config.data, undefined, logger)
        await store.close()
      })
      logger.info('stopped')
    },
  }
}
