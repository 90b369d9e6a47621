import type { Act, Acted, Action, CallHead } from '../wire.js'
import { ask } from './ask.js'
import type { Question } from './ask.js'
import { element, setChildren } from './dom.js'
import { callLink } from './view.js'

const names: Record<Exclude<Action, 'fork'>, string> = {
  cancel: 'Cancel',
  resume: 'Wake now',
  retry: 'Retry',
}

/** What may be done to a call, and what came of it. */
export class Actions {
  readonly element: HTMLElement
  readonly #buttons = element('div', { class: 'buttons' })
  readonly #told = element('p', { class: 'told', role: 'status' })
  #head: CallHead | undefined
  #shown = ''

  constructor() {
    this.element = element('div', { class: 'actions' }, this.#buttons, this.#told)
  }

  show(head: CallHead) {
    this.#head = head
    const shown = head.actions.join()
    if (shown === this.#shown) return
    this.#shown = shown
    setChildren(
      this.#buttons,
      head.actions.flatMap((action) => {
        if (action === 'fork') return []
        const button = element(
          'button',
          { type: 'button', class: action === 'cancel' ? 'grave' : undefined },
          names[action],
        )
        button.addEventListener('click', () => void this.#act({ action }))
        return [button]
      }),
    )
  }

  fork(step: string, name: string) {
    void this.#act({ action: 'fork', step }, name)
  }

  async #act(wanted: Omit<Act, 'call'>, step = '') {
    const head = this.#head
    if (!head) return
    const confirmed = await ask(questionOf(wanted.action, head, step))
    if (!confirmed) return
    const { reason } = confirmed
    const act: Act = { ...wanted, call: head.call, ...(reason !== '' && { reason }) }
    let acted = await send(act)
    if (acted.repeats) {
      const again = {
        title: 'Have an effect again?',
        text: acted.text,
        confirm: 'Do it again',
        isGrave: true,
      }
      if (!(await ask(again))) return this.#tell({ ok: false, text: 'Nothing was begun.' })
      acted = await send({ ...act, repeat: true })
    }
    this.#tell(acted)
  }

  #tell({ ok, text, call }: Acted) {
    const link = call === undefined ? undefined : element('a', { href: callLink(call) }, 'Open it')
    this.#told.className = `told ${ok ? 'tone-good' : 'tone-bad'}`
    this.#told.replaceChildren(`${text} `, ...(link ? [link] : []))
    link?.focus()
  }
}

function questionOf(action: Action, { id, title, owner }: CallHead, step: string): Question {
  const what = `${title}, call ${id}`
  switch (action) {
    case 'cancel':
      return {
        title: 'Cancel this call?',
        text: `${what}: ${owner === '' ? 'the next node that takes it' : owner} aborts its handler. What its steps have done stays done.`,
        confirm: 'Cancel the call',
        isGrave: true,
        reason: true,
      }
    case 'resume':
      return {
        title: 'Wake this call now?',
        text: `${what}: what sleeps ends as if its time had come.`,
        confirm: 'Wake it',
      }
    case 'retry':
      return {
        title: 'Do this call again?',
        text: `${what}: another call is made, with its arguments and its caller. Nobody listens to it: its result is in its journal.`,
        confirm: 'Retry',
      }
    case 'fork':
      return {
        title: `Go on from ${step}?`,
        text: `${what}: another call is made, that finds the steps before ${step} as they ended, and runs from there by the code of today.`,
        confirm: 'Fork',
      }
  }
}

async function send(act: Act): Promise<Acted> {
  try {
    const headers = { 'content-type': 'application/json' }
    const response = await fetch('/act', { method: 'POST', headers, body: JSON.stringify(act) })
    return (await response.json()) as Acted
  } catch {
    return { ok: false, text: 'The monitor does not answer: look whether it was done.' }
  }
}
