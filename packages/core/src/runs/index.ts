// For whoever operates a server, by hand or by an admin page: acting on calls, running or ended, of any node
export { runsOf } from './runs.js'
export type { Acted, Made, Runs } from './runs.js'
export type { StepOfRun } from './steps.js'
export type { CallPlace } from '../session/place.js'
export { RunRefusedError } from './errors.js'
export type { RunRefusal } from './errors.js'
