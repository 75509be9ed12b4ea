import { readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { createHeadFile, openHeadFile, readHeadFile, type HeadRecords } from '../../src/storage/head-file.ts'
import { testFolder } from '../support/folder.ts'

const record = (text: string): Uint8Array => new TextEncoder().encode(text)
const texts = (file: HeadRecords): string[] => file.records.map((bytes) => Buffer.from(bytes).toString())

async function withWrites(...heads: string[]): Promise<string> {
  const path = `${testFolder()}/head`
  await createHeadFile(path, record('first'))
  const file = await openHeadFile(path)
  for (const head of heads) await file.write(record(head))
  await file.close()
  return path
}

function flip(path: string, text: string): void {
  const bytes = readFileSync(path)
  bytes[bytes.indexOf(text)]! ^= 1
  writeFileSync(path, bytes)
}

async function reopened(path: string): Promise<{ texts: string[]; intact: boolean }> {
  const file = await openHeadFile(path)
  await file.close()
  return { texts: texts(file), intact: file.intact }
}

test('a new head file holds the head it was made with', async () => {
  expect(await reopened(await withWrites())).toEqual({ texts: ['first'], intact: true })
})

test('the newest head comes first, and the one before it is kept', async () => {
  expect(await reopened(await withWrites('second'))).toEqual({ texts: ['second', 'first'], intact: true })
  expect(await reopened(await withWrites('b', 'c', 'd'))).toEqual({ texts: ['d', 'c'], intact: true })
})

test('a torn newest head leaves the one before it, and says so', async () => {
  const path = await withWrites('second', 'third head')
  flip(path, 'third head')
  expect(await reopened(path)).toEqual({ texts: ['second'], intact: false })
})

test('writing goes on after a torn write, into the torn slot', async () => {
  const path = await withWrites('second', 'third head')
  flip(path, 'third head')
  const file = await openHeadFile(path)
  await file.write(record('fourth'))
  await file.close()
  expect(await reopened(path)).toEqual({ texts: ['fourth', 'second'], intact: true })
})

test('a head file of which nothing is whole is refused as corrupt', async () => {
  const path = await withWrites('second')
  flip(path, 'first')
  flip(path, 'second')
  await expect(openHeadFile(path)).rejects.toMatchObject({ code: 'corrupt' })
})

test('a missing head file is refused by that name', async () => {
  const path = await withWrites()
  rmSync(path)
  await expect(openHeadFile(path)).rejects.toMatchObject({ code: 'head_missing' })
})

test("somebody else's file is refused", async () => {
  const path = `${testFolder()}/head`
  writeFileSync(path, 'hello')
  await expect(openHeadFile(path)).rejects.toMatchObject({ code: 'foreign_format' })
})

test('creating never overwrites a head file', async () => {
  const path = await withWrites('second')
  await expect(createHeadFile(path, record('other'))).rejects.toMatchObject({ code: 'already_exists' })
  expect((await reopened(path)).texts).toEqual(['second', 'first'])
})

test('a head that does not fit its slot is refused before anything is written', async () => {
  const path = await withWrites('second')
  const file = await openHeadFile(path)
  await expect(file.write(new Uint8Array(40_000))).rejects.toMatchObject({ code: 'too_large' })
  await file.close()
  expect((await reopened(path)).texts).toEqual(['second', 'first'])
})

test('a head file that was cut short is refused by name, wherever it was cut', async () => {
  for (const length of [0, 10, 18, 4096, 4100, 4096 + 43, 4096 + 44]) {
    const path = await withWrites()
    truncateSync(path, length)
    await expect(openHeadFile(path)).rejects.toMatchObject({
      code: expect.stringMatching(/corrupt|foreign_format/) as string,
    })
  }
})

test('a writer that finds what it did not write in its slot stops, and writes nothing', async () => {
  const path = await withWrites('second')
  const [first, second] = [await openHeadFile(path), await openHeadFile(path)]
  await first.write(record('by the first'))
  const before = readFileSync(path)
  await expect(second.write(record('by the second'))).rejects.toMatchObject({ code: 'second_writer' })
  expect(readFileSync(path)).toEqual(before)
  await first.write(record('again'))
  await expect(second.write(record('by the second'))).rejects.toMatchObject({ code: 'second_writer' })
  for (const file of [first, second]) await file.close()
  expect((await reopened(path)).texts).toEqual(['again', 'by the first'])
})

test('two writers of one head at one moment are told apart', async () => {
  const path = await withWrites('second')
  const [first, second] = [await openHeadFile(path), await openHeadFile(path)]
  const stale = readFileSync(path)
  await first.write(record('third'))
  const written = readFileSync(path)
  // The second one looked before the first had written, and writes after it.
  writeFileSync(path, stale)
  await second.write(record('third'))
  expect(readFileSync(path)).not.toEqual(written)
  await expect(first.write(record('fourth'))).rejects.toMatchObject({ code: 'second_writer' })
  for (const file of [first, second]) await file.close()
})

test('a head file that is locked is refused to a second process by name, until the first closes it', async () => {
  const path = await withWrites('second')
  const file = await openHeadFile(path, { lock: true })
  await expect(openHeadFile(path, { lock: true })).rejects.toMatchObject({
    code: 'locked',
    message: expect.stringContaining(path) as string,
  })
  await file.write(record('third'))
  expect(texts(await readHeadFile(path))).toEqual(['third', 'second'])
  await file.close()
  await (await openHeadFile(path, { lock: true })).close()
})

test('a head file of before, whose slots do not say who wrote them, goes on', async () => {
  const path = await withWrites('second')
  const bytes = readFileSync(path)
  for (const [n, text] of ['second', 'first'].entries()) {
    const end = 4096 + n * 32_768 + 44 + text.length
    expect(bytes.subarray(end, end + 48).equals(Buffer.alloc(48))).toBe(false)
    bytes.fill(0, end, end + 48)
  }
  writeFileSync(path, bytes)
  const file = await openHeadFile(path)
  expect(texts(file)).toEqual(['second', 'first'])
  await file.write(record('third'))
  await file.close()
  expect((await reopened(path)).texts).toEqual(['third', 'second'])
})
