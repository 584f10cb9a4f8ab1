/** Tokens by which the prefix's start moves. */
const step = 512;

/** What of a document's tokens goes into the prompt. */
export interface Budget {
  /** Tokens left out at the prefix's start. */
  readonly prefixOmitted: number;
  /** Tokens left out at the suffix's end. */
  readonly suffixOmitted: number;
}

/**
 * Fits `prefix` + `suffix` tokens into `room`. The suffix gets a quarter of the room, each side what the
 * other leaves; the text nearest the cursor stays. The prefix's start moves in steps, so that typing
 * does not shift it and the tokens cached from it are used again.
 */
export function fitContext(prefix: number, suffix: number, room: number): Budget {
  const suffixKept = Math.min(suffix, Math.max(Math.floor(room / 4), room - prefix));
  const prefixRoom = room - suffixKept;
  const excess = Math.max(0, prefix - prefixRoom);
  // In a small context a whole step would leave too little.
  const stride = Math.max(1, Math.min(step, Math.floor(prefixRoom / 4)));
  return {
    prefixOmitted: Math.min(prefix, Math.ceil(excess / stride) * stride),
    suffixOmitted: suffix - suffixKept,
  };
}
