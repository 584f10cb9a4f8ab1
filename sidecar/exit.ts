/** How the process ends; described in docs/errors.md. */
export const exitCodes = {
  done: 0,
  /** The client left, or sent `exit`, without `shutdown` before. */
  withoutShutdown: 1,
  usage: 2,
  /** stdin does not carry LSP messages. */
  protocolBroken: 3,
  /** The command line asked for a completion that the engine could not give. */
  engineFailed: 4,
  fileUnreadable: 5,
  /** Results cannot be written. */
  outputUnwritable: 6,
  internalError: 70,
  interrupted: 130,
} as const;
