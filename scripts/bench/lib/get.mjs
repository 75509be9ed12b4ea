// GET requests of a few paths in turns.
import { requestHead } from '../../../dist/load/index.js'

/** An exchange that asks for these paths of a log, beginning at a random one; answers must be 200. */
export function getter(
  target,
  paths,
  check = ({ status }) => (status === 200 ? undefined : `status ${status}`),
) {
  const requests = paths.map((path) => requestHead(target, 'GET', path))
  let next = Math.floor(Math.random() * requests.length)
  return { request: () => requests[next++ % requests.length], check }
}
