import type { CacheSequence } from '../protocol.ts';
import type { CacheStats as EngineStats } from './addon.ts';

/** The numbers of the model's sequences. */
export const sequences = { completion: 0, chat: 1, measured: 2, reference: 3 } as const;

/** What completions hold. */
export function completionSequence(stats: Pick<EngineStats, 'sequences'>): {
  readonly tokens: number;
  readonly bytes: number;
} {
  const found = stats.sequences.find(({ sequence }) => sequence === sequences.completion);
  return found ?? { tokens: 0, bytes: 0 };
}

/** Of those that a user knows of. */
export function sequenceName(sequence: number): CacheSequence['name'] | undefined {
  if (sequence === sequences.completion) return 'completion';
  return sequence === sequences.chat ? 'chat' : undefined;
}
