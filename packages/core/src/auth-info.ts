/** Auth info as the SDK knows it; only `clientId` and `token` mean something here. */
export type AuthInfo = { token?: string; clientId?: string; [key: string]: unknown }
