/** How the process ends; described in docs/errors.md. */
export const exitCodes = {
  done: 0,
  /** The client left, or sent `exit`, without `shutdown` before. */
  withoutShutdown: 1,
  usage: 2,
  /** stdin does not carry LSP messages. */
  protocolBroken: 3,
  /** A command's model cannot be used, or the engine could not do what was asked. */
  engineFailed: 4,
  fileUnreadable: 5,
  /** A hub did not answer, or not with what was asked for. */
  hubFailed: 6,
  /** The disk is full, or the folder may not be written to. */
  notWritten: 7,
  internalError: 70,
  interrupted: 130,
} as const;
