import { ledgerDigest } from '@mcp-durable/examples/dist/fixtures/ledger-tools.js'
import { decodeFlat } from './journal.js'
import type { Journal, StepBody } from './journal.js'
import type { ObservedCall } from './observed-call.js'

/** A step with an effect, as the ledger and the journal name it. */
export type EffectStep = { name: string; guarantee: 'least' | 'most' }

/** The steps of a call that have effects. */
export function effectSteps({ tool, args }: ObservedCall): EffectStep[] {
  switch (tool) {
    case 'ledger_steps':
      return numbered('step', args['steps'])
    case 'ledger_parallel':
      return numbered('step', args['width'])
    case 'ledger_ask':
      return numbered('note', args['questions'])
    case 'ledger_charge':
      return [{ name: 'charge', guarantee: 'most' }]
    case 'scenario':
    case 'task':
      return [
        { name: 'make', guarantee: 'least' },
        { name: 'pay', guarantee: 'most' },
      ]
    case 'bulk':
      return numbered('bulk', 3)
    case 'plain':
      return [{ name: 'plain', guarantee: 'most' }]
    case 'beside':
      return numbered('beside', 4)
    case 'linger':
      return numbered('linger', 2)
    case 'look':
    case 'tell':
      return []
  }
}

/** The digest that the call must return, from the values that were recorded first. */
export function expectedDigest(call: ObservedCall, journal: Journal): string {
  if (call.tool === 'look' || call.tool === 'plain' || call.tool === 'tell') return ledgerDigest([call.id])
  const ends = new Map<string, StepBody>()
  for (const step of journal.steps) {
    const ended = step.phase === 'done' || step.phase === 'failed'
    if (ended && !ends.has(step.id)) ends.set(step.id, step)
  }
  return ledgerDigest(valueNames(call).map((name) => valueOf(ends.get(name), call)))
}

function valueNames({ tool, args }: ObservedCall): string[] {
  const names = (name: string, count: unknown) => numbered(name, count).map((step) => step.name)
  switch (tool) {
    case 'ledger_steps':
      return names('step', args['steps'])
    case 'ledger_parallel':
      return names('step', args['width'])
    case 'ledger_charge':
      return ['charge']
    case 'ledger_ask':
      return names('question', args['questions']).flatMap((question) => [
        question,
        question.replace('question', 'note'),
      ])
    case 'bulk':
      return names('bulk', 3)
    case 'beside':
      return ['question-1', 'question-2', ...names('beside', 4)]
    case 'linger':
      return names('linger', 2)
    case 'look':
    case 'plain':
    case 'tell':
      return []
    case 'scenario':
    case 'task':
      return ['make', 'pay', 'ask', 'state default', 'draw']
  }
}

function valueOf(end: StepBody | undefined, { tool }: ObservedCall): string {
  if (end?.error !== undefined) {
    const { name, message } = decodeFlat(end.error) as { name: string; message: string }
    return tool === 'scenario' || tool === 'task' ? name : `${name}: ${message}`
  }
  const value = end?.value === undefined ? undefined : decodeFlat(end.value)
  if (typeof value !== 'object' || value === null) return String(value)
  const { action, content } = value as { action: string; content?: { answer?: string } }
  return action === 'accept' ? String(content?.answer) : action
}

const numbered = (name: string, count: unknown): EffectStep[] =>
  Array.from({ length: Number(count) }, (_, index) => ({ name: `${name}-${index + 1}`, guarantee: 'least' }))
