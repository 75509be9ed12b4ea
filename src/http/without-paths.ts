/** An absolute path: behind the start, a space, a bracket or a quote, up to what ends it in our messages and Node's. */
const PATH = /(^|[\s('"`=])(?:[A-Za-z]:[\\/]|\\\\|\/)(?=[^\s/])[^:;'"`\n]*/g

/**
 * A message without the paths of this machine, for answers: those are the operator's, whose log keeps them. It would
 * rather take a word too many: a path may hold spaces.
 */
export function withoutPaths(message: string): string {
  return message.replace(PATH, '$1(a file of the log)')
}
