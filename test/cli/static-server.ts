import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { listenInTest } from '../support/listen.ts'

/** Serves a folder as any web server would, until the test has finished. @returns its URL */
export async function serveFolder(folder: string): Promise<string> {
  const server = createServer((request, response) => {
    readFile(join(folder, request.url!)).then(
      (bytes) => response.end(bytes),
      () => response.writeHead(404).end(),
    )
  })
  return `http://127.0.0.1:${await listenInTest(server)}`
}
