import { expect, test } from 'vitest'
import { Members } from '../src/members.js'

type Named = { name: string }
const named = (name: string): Named => ({ name })
const names = (members: Members<Named>) => [...members].map(({ name }) => name)

test('members come in order and leave from anywhere, once', () => {
  const members = new Members<Named>()
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name) => members.add(named(name)))
  expect([names(members), members.size]).toEqual([['a', 'b', 'c', 'd'], 4])
  expect([b?.(), b?.()]).toEqual([true, false])
  expect([names(members), members.size]).toEqual([['a', 'c', 'd'], 3])
  expect([d?.(), a?.()]).toEqual([true, true])
  expect([names(members), members.size]).toEqual([['c'], 1])
  expect(c?.()).toBe(true)
  members.add(named('e'))
  expect([names(members), members.size]).toEqual([['e'], 1])
})

test('who leaves while others are visited is not visited, and hides nobody', () => {
  const members = new Members<Named>()
  const leaves = ['a', 'b', 'c'].map((name) => members.add(named(name)))
  const visited: string[] = []
  for (const { name } of members) {
    visited.push(name)
    if (name === 'a') for (const leave of leaves.slice(0, 2)) leave()
  }
  expect(visited).toEqual(['a', 'c'])
})
