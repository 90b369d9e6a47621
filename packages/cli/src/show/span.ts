/** A time span for people: `12 ms`, `3.2 s`, `5 m`, `3 h`, `2 d`. */
export function span(ms: number): string {
  const size = Math.abs(ms)
  if (size < 1000) return `${Math.round(ms)} ms`
  if (size < 59_950) return `${(ms / 1000).toFixed(1)} s`
  if (size < 3_600_000) return `${Math.floor(ms / 60_000)} m ${Math.floor((size % 60_000) / 1000)} s`
  if (size < 86_400_000) return `${Math.floor(ms / 3_600_000)} h ${Math.floor((size % 3_600_000) / 60_000)} m`
  return `${Math.floor(ms / 86_400_000)} d ${Math.floor((size % 86_400_000) / 3_600_000)} h`
}
