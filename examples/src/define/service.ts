import { Refusal, runService } from '../examples/outside-service.js'

const adjectives = ['bounded', 'durable', 'lexicographic', 'monotonic', 'ordered']
const nouns = ['log', 'map', 'sequence', 'stream', 'tree']

/** A dictionary that always knows something, and a newsletter that announces new terms. */
await runService('define', {
  knowsKeys: ['suggest', 'announce'],
  actions: {
    suggest({ term }, random) {
      if (term === 'xyzzy') throw new Refusal('nobody knows what xyzzy means')
      const pick = (list: string[]): string => list[Math.floor(random() * list.length)]!
      return { definition: `a ${pick(adjectives)} ${pick(nouns)}` }
    },
    announce: ({ term }) => ({ announced: term }),
  },
})
