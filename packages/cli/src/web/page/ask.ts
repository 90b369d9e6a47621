import { element } from './dom.js'

export type Question = { title: string; text: string; confirm: string; isGrave?: boolean; reason?: boolean }

/** Resolves to what was given with the confirmation; `undefined`: it was not confirmed. */
export function ask({
  title,
  text,
  confirm,
  isGrave,
  reason,
}: Question): Promise<{ reason: string } | undefined> {
  const input = element('input', { id: 'reason', maxlength: '500', autocomplete: 'off' })
  const label = element('label', { for: 'reason' }, 'Reason, for the handler and the journal (may be empty)')
  const back = element('button', { type: 'button' }, 'Leave it')
  const yes = element('button', { class: isGrave ? 'grave' : 'primary', value: 'yes' }, confirm)
  const form = element(
    'form',
    { method: 'dialog' },
    element('h2', { id: 'asked' }, title),
    element('p', { id: 'asked-more' }, text),
    ...(reason ? [label, input] : []),
    element('div', { class: 'buttons' }, back, yes),
  )
  const dialog = element('dialog', { 'aria-labelledby': 'asked', 'aria-describedby': 'asked-more' }, form)
  document.body.append(dialog)
  back.addEventListener('click', () => dialog.close())
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      dialog.remove()
      resolve(dialog.returnValue === 'yes' ? { reason: input.value.trim() } : undefined)
    })
    dialog.showModal()
    // What is grave is not done by a key that was pressed for something else.
    if (isGrave) back.focus()
  })
}
