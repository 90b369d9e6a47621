import { pagesOf } from '@mcp-durable/core/transfer'
import { expect, test } from 'vitest'

const MIB = 1 << 20

/** How many items each page has, and how many were asked for each time. */
async function paged(sizes: readonly number[]) {
  const items = sizes.map((size, at) => ({ size, at }))
  const asked: number[] = []
  const pages: (typeof items)[] = []
  const read = async (after: { at: number } | undefined, most: number) => {
    asked.push(most)
    const from = after === undefined ? 0 : after.at + 1
    return items.slice(from, from + most)
  }
  for await (const { page, first } of pagesOf(read, ({ size }) => size)) {
    expect(first).toBe(pages.length === 0)
    pages.push(page)
  }
  expect(pages.flat()).toEqual(items)
  return { pages: pages.map(({ length }) => length), asked }
}

test('small items come in full pages, and the first few with one question', async () => {
  expect(await paged([])).toEqual({ pages: [], asked: [8] })
  expect(await paged([10, 10])).toEqual({ pages: [2], asked: [8] })
  expect((await paged(Array.from({ length: 450 }, () => 10))).pages).toEqual([200, 200, 50])
})

test('a page ends with the item that brings it to a MiB, and of large ones few are asked for', async () => {
  expect(await paged(Array.from({ length: 20 }, () => MIB / 2))).toEqual({
    pages: Array.from({ length: 10 }, () => 2),
    asked: [8, 2, 2, 2, 2, 2, 2, 2],
  })
  const { pages, asked } = await paged([10, 3 * MIB, 10, 10, 10, 10, 10, 10, 2 * MIB, 10])
  expect(pages).toEqual([2, 7, 1])
  expect(asked).toEqual([8, 2, 1])
})
