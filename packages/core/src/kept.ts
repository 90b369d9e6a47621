/**
 * A copy to keep for as long as a call lasts. V8 puts object literals that often live long among the old objects at once, where they
 * keep alive what is garbage around them until the next full collection; copies, and objects of classes, begin young.
 */
export const kept = <T extends object>(of: T): T => ({ ...of })
