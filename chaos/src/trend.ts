/** A value at a time. */
export type Point = { atMs: number; value: number }

export type Trend = {
  /** Mean of the values. */
  mean: number
  /** Growth in percent of the mean per hour, and the ends of its 95 % confidence interval. */
  perHour: number
  from: number
  to: number
  /**
   * `grows`: the whole interval is above the limit. `flat`: the whole interval is at or below it. `noise`: the limit is within it, so
   * a longer run would tell.
   */
  verdict: 'flat' | 'noise' | 'grows'
}

const HOUR_MS = 3_600_000
const LEAST_POINTS = 4

/**
 * Least squares: the slope of a line through the points, with its confidence interval by the t distribution. `undefined` for fewer than 4
 * points.
 */
export function trendOf(points: readonly Point[], limitPerHour: number): Trend | undefined {
  const count = points.length
  if (count < LEAST_POINTS) return undefined
  const meanAt = mean(points.map(({ atMs }) => atMs))
  const meanValue = mean(points.map(({ value }) => value))
  const spread = sum(points.map(({ atMs }) => (atMs - meanAt) ** 2))
  const slope = sum(points.map(({ atMs, value }) => (atMs - meanAt) * (value - meanValue))) / spread
  const residuals = sum(points.map(({ atMs, value }) => (value - meanValue - slope * (atMs - meanAt)) ** 2))
  const error = Math.sqrt(residuals / (count - 2) / spread)
  const percent = (perMs: number) => (perMs * HOUR_MS * 100) / meanValue
  const around = t95(count - 2) * error
  const [from, to] = [percent(slope - around), percent(slope + around)]
  const verdict = from > limitPerHour ? 'grows' : to <= limitPerHour ? 'flat' : 'noise'
  return { mean: meanValue, perHour: percent(slope), from, to, verdict }
}

/** The 97.5 % quantile of the t distribution, from that of the normal one (Cornish and Fisher); within 1 % from 3 degrees of freedom. */
function t95(freedom: number): number {
  if (freedom === 2) return 4.303
  const z = 1.959964
  const terms = [
    z,
    (z ** 3 + z) / 4,
    (5 * z ** 5 + 16 * z ** 3 + 3 * z) / 96,
    (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / 384,
  ]
  return sum(terms.map((term, power) => term / freedom ** power))
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)
const mean = (values: readonly number[]) => sum(values) / values.length
