/** How the process ends; described in docs/errors.md. */
export const exitCodes = {
  done: 0,
  /** The client left, or sent `exit`, without `shutdown` before. */
  withoutShutdown: 1,
  usage: 2,
  /** stdin does not carry LSP messages. */
  protocolBroken: 3,
  /** The command line asked for what the engine could not do. */
  engineFailed: 4,
  fileUnreadable: 5,
  /** The disk is full, or the folder may not be written to. */
  notWritten: 7,
  internalError: 70,
  interrupted: 130,
} as const;
