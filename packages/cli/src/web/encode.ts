import { escapeControls } from '@mcp-durable/core/inspect'

/** As JSON; what might act, or hide, is shown in each text as a terminal shows it. */
export const encode = (value: unknown): string =>
  JSON.stringify(value, (_key, member: unknown) =>
    typeof member === 'string' ? escapeControls(member) : member,
  )
