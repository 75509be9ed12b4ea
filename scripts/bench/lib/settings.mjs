// The settings of a log that is opened without a server: those that the server would give it.
import { loadConfig } from '../../../dist/config/config.js'
import { logSettings } from '../../../dist/server/settings.js'

export const DEFAULTS = logSettings(loadConfig({}))
