import type { CacheSequence } from '../protocol.ts';

/** The numbers of the model's sequences. */
export const sequences = { completion: 0, chat: 1, measured: 2, reference: 3 } as const;

/** Of those that a user knows of. */
export function sequenceName(sequence: number): CacheSequence['name'] | undefined {
  if (sequence === sequences.completion) return 'completion';
  return sequence === sequences.chat ? 'chat' : undefined;
}
