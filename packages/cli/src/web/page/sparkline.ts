const SVG = 'http://www.w3.org/2000/svg'
const KEPT = 90

/** The last values, drawn small; the figure beside it says the newest. */
export class Sparkline {
  readonly element = document.createElementNS(SVG, 'svg')
  readonly #line = document.createElementNS(SVG, 'polyline')
  readonly #values: number[] = []

  constructor() {
    this.element.setAttribute('viewBox', `0 0 ${KEPT} 20`)
    this.element.setAttribute('preserveAspectRatio', 'none')
    this.element.setAttribute('class', 'sparkline')
    this.element.setAttribute('aria-hidden', 'true')
    this.element.append(this.#line)
  }

  add(value: number) {
    this.#values.push(value)
    if (this.#values.length > KEPT) this.#values.shift()
    const most = Math.max(1, ...this.#values)
    const from = KEPT - this.#values.length
    const points = this.#values.map(
      (each, index) => `${from + index + 0.5},${(18.5 - (each / most) * 17).toFixed(1)}`,
    )
    this.#line.setAttribute('points', points.join(' '))
  }
}
