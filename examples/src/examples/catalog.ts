export interface Example {
  name: string
  title: string
}

export const examples: readonly Example[] = [
  { name: 'audit', title: 'an audit log of all calls, in the order of time' },
  { name: 'steps', title: 'an order in three steps, each of which is repeated safely' },
  { name: 'processing', title: 'payments: network errors, rejections, and no double charge' },
  { name: 'document', title: 'a pipeline of OCR and translation, with both kinds of step' },
  { name: 'telemetry', title: 'traces that go on at another node, and metrics for Prometheus' },
  { name: 'define', title: 'a glossary with two indexes and prefix search' },
]
