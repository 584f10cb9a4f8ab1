/** What a page and the extension host may say to each other; a feature's messages.ts gives the types. */
export interface Messages {
  readonly fromPage: unknown;
  readonly toPage: unknown;
}
