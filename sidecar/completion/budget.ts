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
 * other leaves; the text nearest the cursor stays. The prefix's start and the suffix's end move in steps,
 * so that typing does not shift them and the tokens cached from there on are used again.
 */
export function fitContext(prefix: number, suffix: number, room: number): Budget {
  const suffixStride = Math.max(1, Math.min(step, Math.floor(room / 8)));
  const leftOver = Math.floor((room - prefix) / suffixStride) * suffixStride;
  const suffixKept =
    prefix + suffix <= room ? suffix : Math.min(suffix, Math.max(Math.floor(room / 4), leftOver));
  const prefixRoom = room - suffixKept;
  const excess = Math.max(0, prefix - prefixRoom);
  // In a small context a whole step would leave too little.
  const stride = Math.max(1, Math.min(step, Math.floor(prefixRoom / 4)));
  return {
    prefixOmitted: Math.min(prefix, Math.ceil(excess / stride) * stride),
    suffixOmitted: suffix - suffixKept,
  };
}
