import { runService } from '../examples/outside-service.js'
import type { SentSpan } from './span-sender.js'

const spans: SentSpan[] = []

/** A website, an index, and a collector of spans. */
await runService('telemetry', {
  knowsKeys: ['store'],
  actions: {
    fetch: () => ({ text: 'a page of six short words' }),
    store: (_page, random) => ({ at: Math.floor(random() * 1e6) }),
  },
  answers: {
    spans: (sent) => {
      spans.push(...((sent as SentSpan[] | undefined) ?? []))
      return spans
    },
  },
})
