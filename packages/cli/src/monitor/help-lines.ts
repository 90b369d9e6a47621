export const overviewKeys =
  'q quit  Tab table  ↑↓ row  Enter open  / filter  s sort  r reverse  c clear  p pause  ? help'
export const sessionKeys = 'Esc back  ↑↓ PgUp PgDn scroll  End follow  c clear  q quit'

export const helpLines = [
  '',
  '  Tab, ←, →         go to the next table: nodes, open calls, sessions',
  '  ↑, ↓, PgUp, PgDn  choose a row',
  '  Enter             open the session, or the call, and follow its events; Esc goes back',
  '  s, r              order by the next column; reverse the order',
  '  /                 show only rows that contain a text; empty shows all again',
  '  c                 clear the session, or the call without one, that is chosen: asks first',
  '  C                 clear all sessions and calls: asks first',
  '  p                 pause the picture, and go on',
  '  q, Ctrl-C         quit',
  '',
  '  STATE of a node   alive; late: no heartbeat for 2 s; gone: it shut down, or its heartbeat stopped',
  '  HOLDS of a node   sessions in which it may run calls, and calls without one',
  '  RUN of a call     how often it was begun; more than 1 means that another node took it over',
  '  EVENTS            messages that the standalone stream holds, and records of open calls',
  '  rates             of the last 10 s, in the sessions that are shown or run calls; calls without one are seen if they last',
  '',
  '  any key goes back',
]
