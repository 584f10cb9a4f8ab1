/**
 * MODEL CACHE-OPTIONS: fills a cache and prints by how much the process grew (bytes resident) and
 * by how much the cache says it did (bytes in use, and bytes reserved for them), as JSON.
 */
import type { CacheOptions } from '../../../sidecar/engine/addon.ts';
import { codeTokens } from '../../fixtures/corpus.ts';
import { evaluate, withEngine } from '../support/engine.ts';
import { residentBytes } from '../support/resident.ts';

const [modelPath = '', options = ''] = process.argv.slice(2);

await withEngine(modelPath, JSON.parse(options) as CacheOptions, async (engine) => {
  const tokens = await codeTokens(engine, 2560);
  const measure = (): { resident: number; used: number; reserved: number } => {
    const { bytes, reservedBytes } = engine.stats();
    return { resident: residentBytes(), used: bytes, reserved: reservedBytes };
  };
  // The first batch touches the buffers that do not grow with the cache.
  await evaluate(engine, tokens.subarray(0, 512), 'last');
  const before = measure();
  await evaluate(engine, tokens.subarray(512), 'last');
  const after = measure();
  console.log(
    JSON.stringify({
      residentBytes: after.resident - before.resident,
      usedBytes: after.used - before.used,
      reservedBytes: after.reserved - before.reserved,
    }),
  );
});
