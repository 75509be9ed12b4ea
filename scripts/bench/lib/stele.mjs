// What the benchmarks take from the package itself.
export { toHex } from '../../../dist/bytes/hex.js'
export { openLogClient } from '../../../dist/client/index.js'
export { leafHash } from '../../../dist/merkle/hash.js'
export { formatTilePath } from '../../../dist/tile/path.js'
