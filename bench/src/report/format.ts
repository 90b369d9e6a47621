import type { Row, Target, Unit } from '../rows.js'

/** A figure as people read it. */
export function figure(value: number, unit: Unit): string {
  return `${rounded(value)} ${unit}`.replace(' /s', '/s')
}

export function ratio(value: number): string {
  return `${value.toFixed(2)}×`
}

export function target(wanted: Target): string {
  if (!wanted) return '–'
  return `${wanted.bound === 'min' ? '≥' : '≤'} ${wanted.ratio}×`
}

export function spread({ spread: [lowest, highest] }: Row): string {
  return `${lowest.toFixed(2)}–${highest.toFixed(2)}`
}

export function verdict({ target: wanted, ok }: Row): string {
  if (!ok) return 'no'
  return wanted ? 'yes' : '–'
}

function rounded(value: number): string {
  if (!Number.isFinite(value)) return String(value)
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2
  return value.toLocaleString('en-US', { maximumFractionDigits: digits })
}
