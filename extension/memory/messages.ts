/** What the memory view and the extension host say to each other. */
import { z } from 'zod';
import type { CacheStats } from '../../sidecar/protocol.ts';

/** The page has drawn its frame and listens. */
const ready = z.strictObject({ kind: z.literal('ready') });

export const fromPage = z.discriminatedUnion('kind', [ready]);

export interface MemoryMessages {
  readonly fromPage: z.infer<typeof fromPage>;
  readonly toPage: { readonly kind: 'stats'; readonly stats: CacheStats | undefined };
}
