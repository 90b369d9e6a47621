import type { TaskMode } from '../context/durable-handlers.js'

type Mode = Exclude<TaskMode, 'required'>
/** What is said of tools that say nothing themselves: of all, or by name. */
export type TasksOption = Mode | Readonly<Record<string, Mode>>

export function taskModeFor(tool: string, own: TaskMode | undefined, tasks: TasksOption): TaskMode {
  if (own !== undefined) return own
  if (typeof tasks === 'string') return tasks
  return (Object.hasOwn(tasks, tool) ? tasks[tool] : undefined) ?? 'never'
}

export const hasAnyTask = (tasks: TasksOption) =>
  (typeof tasks === 'string' ? [tasks] : Object.values(tasks)).some((mode) => mode !== 'never')
