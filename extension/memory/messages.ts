/** What the memory view and the extension host say to each other. */
import { z } from 'zod';
import type { CacheStats, MemoryForecast } from '../../sidecar/protocol.ts';
import type { Status } from '../statusView.ts';

/** A value that a setting may have, and what it does. */
export interface Choice {
  readonly value: string;
  readonly description: string;
}

/** What is set under `sightline.cache`, by the profile or apart, whether it is one of the choices or not. */
export interface CacheSettings {
  readonly profile: string;
  /** Names of settings that are set apart from the profile, and go before it. */
  readonly apart: readonly string[];
  readonly policy: string;
  readonly tier: string;
  readonly budgetMiB: number;
}

export interface MemoryState {
  readonly status: Status;
  /** Null before a model is loaded. */
  readonly stats: CacheStats | null;
  /** Null before a model is loaded. */
  readonly forecast: MemoryForecast | null;
  readonly settings: CacheSettings;
  readonly choices: Readonly<Record<'profile' | 'policy' | 'tier', readonly Choice[]>>;
}

/** The commands that the page has buttons for. */
const commandNames = [
  'sightline.restart',
  'sightline.showLog',
  'sightline.showContext',
  'sightline.clearCache',
  'sightline.measureCache',
] as const;

/** How the base64 of every PNG starts: with the eight bytes that are its signature. */
const pngStart = 'iVBORw0KGgo';

export const fromPage = z.discriminatedUnion('kind', [
  /** The page has drawn its frame, and listens. */
  z.strictObject({ kind: z.literal('ready') }),
  z.strictObject({ kind: z.literal('chooseProfile'), profile: z.string().max(40) }),
  z.strictObject({ kind: z.literal('choosePolicy'), policy: z.string().max(40) }),
  z.strictObject({ kind: z.literal('chooseTier'), tier: z.string().max(40) }),
  z.strictObject({ kind: z.literal('setBudget'), budgetMiB: z.int().min(0).max(1_048_576) }),
  z.strictObject({ kind: z.literal('run'), command: z.enum(commandNames) }),
  z.strictObject({
    kind: z.literal('saveFigure'),
    png: z.base64().startsWith(pngStart).max(32_000_000),
  }),
  z.strictObject({ kind: z.literal('saveData') }),
]);

export interface MemoryMessages {
  readonly fromPage: z.infer<typeof fromPage>;
  /** What has changed; all of it when the page is ready. */
  readonly toPage: Partial<MemoryState>;
}
