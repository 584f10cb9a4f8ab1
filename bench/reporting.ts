/** What it costs to tell the cache's statistics after every token. */
import { modelFile } from '../test/fixtures/models/generate.ts';
import { benchmarkModel } from '../test/fixtures/models/specs.ts';
import { loadOurs } from './contender.ts';
import { ours } from './engine.ts';
import { rowOf, type Options, type Row } from './harness.ts';

const depth = 1024;
const tokens = 16;
const reports = 500;

/**
 * One row: percent of a token's time. A report is an operation that changes nothing, after which
 * the engine brings its statistics up to date, and what reads and writes them out as the sidecar's
 * message does: more than a token's report takes, since that needs no operation of its own.
 */
export async function* measureReporting(
  name: string,
  cacheName: string,
  { quick, threads, selects }: Options,
): AsyncGenerator<Row> {
  const what = { case: `${name}/${cacheName}/statistics`, unit: '% of a token' } as const;
  const cache = ours.get(cacheName);
  if (!cache || !selects(what.case)) return;
  const contextTokens = depth + tokens;
  const modelPath = modelFile(benchmarkModel);
  const contender = await loadOurs(cache, { modelPath, threads, contextTokens });
  try {
    const { engine } = contender;
    const shares: number[] = [];
    for (let round = 0; round < (quick ? 1 : 9); round++) {
      await contender.goTo(depth);
      const tokenTime = await timeOf(tokens, () => contender.evaluate(1));
      const held = engine.stats().tokens;
      const reportTime = await timeOf(reports, async () => {
        await engine.truncate(held);
        JSON.stringify(engine.stats());
      });
      shares.push((100 * reportTime) / tokenTime);
    }
    yield rowOf({ ...what, better: 'lower' }, shares);
  } finally {
    await contender.close();
  }
}

/** Milliseconds of one call. */
async function timeOf(calls: number, call: () => Promise<void>): Promise<number> {
  const start = performance.now();
  for (let i = 0; i < calls; i++) await call();
  return (performance.now() - start) / calls;
}
