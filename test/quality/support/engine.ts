import { strict as assert } from 'node:assert';
import { loadAddon } from '../../../sidecar/engine/load.ts';
import type {
  Addon,
  AddonErrorCode,
  CacheOptions,
  CompleteRequest,
  CompleteResult,
  Job,
  LoadOptions,
  NativeEngine,
} from '../../../sidecar/engine/addon.ts';

export type { CacheOptions };

/** llama.cpp's own cache on its most exact path: the reference. */
export const stock = {
  policy: 'stock',
  type: 'f16',
  flashAttention: false,
} as const satisfies CacheOptions;
export const full = { policy: 'full' } as const satisfies CacheOptions;
/** The defaults of `sightline.cache`. */
export const selective = {
  policy: 'selective',
  sink: 16,
  window: 256,
} as const satisfies CacheOptions;
/** Tokens of a quantised block. */
export const blockTokens = 128;

const loaded = loadAddon();
if (!loaded.ok) throw new Error(loaded.error.message);

export const addon: Addon = loaded.value.addon;
const { librariesPath } = loaded.value;

/** Load options of the tests: one thread, so that two cores also do for two test files at once. */
export function loadOptions(modelPath: string, cache: CacheOptions): LoadOptions {
  return {
    modelPath,
    librariesPath,
    contextTokens: 0,
    threads: 1,
    cacheBudgetBytes: 0,
    cache,
    selfCheck: false,
  };
}

export function load(options: LoadOptions): Job<NativeEngine> {
  return addon.load(options, () => undefined);
}

/** Loads, hands the engine to `use` and closes it whatever happens. */
export async function withEngine<T>(
  modelPath: string,
  cache: CacheOptions,
  use: (engine: NativeEngine) => Promise<T>,
): Promise<T> {
  const engine = await load(loadOptions(modelPath, cache)).result;
  try {
    return await use(engine);
  } finally {
    await engine.close();
  }
}

/** Evaluates tokens in chunks; resolves to the logits of all of them, or of the last. */
export async function evaluate(
  engine: NativeEngine,
  tokens: Int32Array,
  logits: 'all' | 'last',
  chunk = 512,
): Promise<Float32Array> {
  const rows: Float32Array[] = [];
  for (let start = 0; start < tokens.length; start += chunk) {
    const piece = tokens.subarray(start, start + chunk);
    rows.push(await engine.evaluate(piece, logits).result);
  }
  if (logits === 'last') return rows.at(-1) ?? new Float32Array();
  const all = new Float32Array(tokens.length * engine.info.vocabulary);
  let offset = 0;
  for (const row of rows) {
    all.set(row, offset);
    offset += row.length;
  }
  return all;
}

export function complete(
  engine: NativeEngine,
  request: Partial<CompleteRequest> & Pick<CompleteRequest, 'tokens'>,
): Job<CompleteResult> {
  return engine.complete({ ...greedy, ...request }, () => undefined);
}

/** A completion request but for its tokens. */
export const greedy = {
  maxTokens: 64,
  sampling: { temperature: 0, topK: 40, topP: 1, minP: 0, seed: 1 },
  stopTokens: new Int32Array(),
} as const;

/** The call must fail with one of the codes and with a message that is a sentence. */
export async function rejectsWith(
  codes: readonly AddonErrorCode[],
  call: () => Promise<unknown>,
  what?: string,
): Promise<void> {
  const validate = (error: unknown): true => {
    assert.ok(error instanceof Error, 'rejects with an Error');
    assert.ok('code' in error, `carries a code: ${error.message}`);
    assert.ok(
      (codes as readonly unknown[]).includes(error.code),
      `${String(error.code)} is one of ${codes.join(', ')}`,
    );
    assert.match(error.message, /\w{2,} \w+/);
    return true;
  };
  await assert.rejects(call, validate, what);
}
