import type * as z from 'zod'
import { encodeUtf8 } from '../../bytes/text.ts'
import { Transport, type Answer } from '../../client/transport.ts'
import { SteleError } from '../../errors.ts'

const MAX_ANSWER_BYTES = 16 * 1024 * 1024

/** The API of a running server, as far as the credentials reach. */
export class ServedApi {
  readonly #base: string
  readonly #transport: Transport
  readonly #about: string

  /** @param about what its answers are about, for messages */
  constructor(
    server: string,
    headers: Readonly<Record<string, string>>,
    { about, timeoutMs }: { about: string; timeoutMs?: number },
  ) {
    this.#base = server.replace(/\/+$/, '')
    this.#transport = new Transport({ headers, timeoutMs })
    this.#about = about
  }

  /** @throws SteleError as `Transport.ask` */
  get(path: string, expect: readonly number[] = [200]): Promise<Answer> {
    return this.#transport.ask(this.#base + path, { maxBytes: MAX_ANSWER_BYTES, fresh: true, expect })
  }

  /** @throws SteleError `unexpected_answer`; as `Transport.ask` */
  async post<S extends z.ZodType>(path: string, body: object, schema: S): Promise<z.output<S>> {
    const answer = await this.#transport.ask(this.#base + path, {
      method: 'POST',
      body: encodeUtf8(JSON.stringify(body)),
      expect: [200, 201],
      maxBytes: MAX_ANSWER_BYTES,
    })
    return this.parsed(answer, path, schema)
  }

  /** An answer as JSON of this form. @throws SteleError `unexpected_answer` */
  parsed<S extends z.ZodType>({ body }: Answer, path: string, schema: S): z.output<S> {
    try {
      return schema.parse(JSON.parse(new TextDecoder().decode(body)))
    } catch (cause) {
      const message = `${this.#base}${path}: expected an answer about ${this.#about}`
      throw new SteleError('unexpected_answer', message, { cause })
    }
  }
}
