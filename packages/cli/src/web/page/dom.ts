type Child = Node | string | undefined

/** An element; what is in it is text, whatever it holds. */
export function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Readonly<Record<string, string | boolean | undefined>> = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name)
  for (const [attribute, value] of Object.entries(attributes))
    if (value !== undefined && value !== false) made.setAttribute(attribute, value === true ? '' : value)
  for (const child of children) if (child !== undefined) made.append(child)
  return made
}

/** Only where it differs: who reads or has marked it is not disturbed. */
export function setText(of: Element, text: string) {
  if (of.textContent !== text) of.textContent = text
}

export function setClass(of: Element, name: string) {
  if (of.className !== name) of.className = name
}

export function setHidden(of: HTMLElement, hidden: boolean) {
  if (of.hidden !== hidden) of.hidden = hidden
}

/** The children in this order; those that are there already are not touched, and keep the focus. */
export function setChildren(of: Element, children: readonly Element[]) {
  const wanted = new Set(children)
  for (const child of Array.from(of.children)) if (!wanted.has(child)) child.remove()
  for (const [index, child] of children.entries())
    if (of.children[index] !== child) of.insertBefore(child, of.children[index] ?? null)
}

export const clockOf = (ms: number) => {
  const date = new Date(ms)
  const part = (number: number, digits = 2) => String(number).padStart(digits, '0')
  return `${part(date.getHours())}:${part(date.getMinutes())}:${part(date.getSeconds())}`
}
