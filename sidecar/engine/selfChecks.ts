import { mkdir, readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { writeWhole } from '../wholeFile.ts';
import type { CacheCheck } from '../protocol.ts';
import type { CacheOptions } from './addon.ts';

/** The latest that are kept. */
const mostChecks = 100;

const schema = z.record(
  z.string(),
  z.strictObject({
    asked: z.string(),
    tier: z.string(),
    divergence: z.number(),
    bound: z.number(),
    sameTop: z.number(),
  }),
);

const format = z.enum(['fp16', 'fp8', 'int8', 'int4', 'int2']);

/** A tier as `CacheTier.name` has it: pairs without a name of their own are called `int8-int2`. */
const tierSchema = z.union([
  z.enum(['fp16', 'fp8', 'int8', 'k8v4', 'int4', 'k4v2']),
  z
    .string()
    .transform((name) => name.split('-'))
    .pipe(z.tuple([format, format]))
    .transform(([k, v]) => ({ k, v })),
]);

/** What a check depends on. A change of the addon's file covers its kernels and its llama.cpp too. */
export interface Checked {
  readonly modelPath: string;
  readonly addonPath: string;
  readonly cache: CacheOptions;
}

export interface Recalled {
  readonly check: CacheCheck;
  /** The options that give the tier in use at once. */
  readonly cache: CacheOptions;
}

/**
 * What self-checks found, in a file that outlives the process, so that the same model with the same cache is checked
 * once. The file can be lost at any time: what cannot be read or written is checked again.
 */
export class SelfChecks {
  readonly #file: string;

  /** `folder` is made when there is something to keep. */
  constructor(folder: string) {
    this.#file = join(folder, 'self-checks.json');
  }

  async recall(checked: Checked): Promise<Recalled | undefined> {
    const key = await keyOf(checked);
    const check = key === undefined ? undefined : (await this.#read())[key];
    const cache = check && withTierInUse(checked.cache, check);
    return check && cache && { check, cache };
  }

  async remember(checked: Checked, check: CacheCheck): Promise<void> {
    const key = await keyOf(checked);
    if (key === undefined) return;
    const others = Object.entries(await this.#read()).filter(([other]) => other !== key);
    const kept = Object.fromEntries([...others.slice(1 - mostChecks), [key, check]]);
    try {
      await mkdir(dirname(this.#file), { recursive: true });
      await writeWhole(this.#file, JSON.stringify(kept, null, 2));
    } catch {
      // It is checked anew the next time.
    }
  }

  async #read(): Promise<z.infer<typeof schema>> {
    try {
      return schema.parse(JSON.parse(await readFile(this.#file, 'utf8')));
    } catch {
      return {};
    }
  }
}

/** Undefined where a file cannot be read: then the load says why. */
async function keyOf({ modelPath, addonPath, cache }: Checked): Promise<string | undefined> {
  try {
    const files = await Promise.all(
      [modelPath, addonPath].map(async (path) => {
        const { size, mtimeMs } = await stat(path);
        return [path, size, mtimeMs];
      }),
    );
    return JSON.stringify([...files, cache]);
  } catch {
    return undefined;
  }
}

/** Undefined where no option says that tier. */
function withTierInUse(cache: CacheOptions, { asked, tier }: CacheCheck): CacheOptions | undefined {
  if (tier === asked) return cache;
  // Of lowrank the tier is that of the values alone.
  if (!('tier' in cache) || cache.policy === 'lowrank') return undefined;
  const { success, data } = tierSchema.safeParse(tier);
  return success ? { ...cache, tier: data } : undefined;
}
