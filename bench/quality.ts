/** `npm run bench:quality`: what a cache costs in predictions, on real code, against FP16. */
import path from 'node:path';
import type { CacheOptions, NativeEngine } from '../sidecar/engine/addon.ts';
import { mixedTokens } from '../test/fixtures/corpus.ts';
import { bundledModel } from '../test/fixtures/models/generate.ts';
import { Predictions } from './divergence.ts';
import { loadEngine, ours, stock } from './engine.ts';
import { progress, rowOf, runBenchmark, type Case, type Options, type Row } from './harness.ts';

const referenceName = 'full';

/** Tokens evaluated at a time: logits are large and go as soon as they are compared. */
const defaultChunk = 512;

/** Tokens that are scored at every length of context: the second half of each context. */
const scoredTokens = 32_768;

const modelOf = ({ own }: Options): string => own['model'] ?? bundledModel;

async function* measure(options: Options): AsyncGenerator<Row> {
  const { quick, threads, selects, own } = options;
  const chunk = Number(own['chunk'] ?? defaultChunk);
  if (!Number.isInteger(chunk) || chunk < 1) throw new Error('--chunk takes a count of tokens');
  const reference = ours.get(referenceName);
  if (!reference) throw new Error(`no cache is called ${referenceName}`);
  const others = [...ours, ...stock].filter(([name]) => name !== referenceName);

  for (const context of quick ? [4096] : [4096, 8192]) {
    const caseOf = (name: string): string => `quality/${name}/context=${context}`;
    const contexts = quick ? 2 : scoredTokens / (context / 2);
    const load = (cache: CacheOptions): Promise<NativeEngine> =>
      loadEngine({ modelPath: modelOf(options), cache, threads, contextTokens: context });
    for (const [name, cache] of others.filter(([name]) => selects(caseOf(name)))) {
      progress(`${contexts} contexts of ${context} tokens on ${name}`);
      const a = await load(reference);
      try {
        const b = await load(cache);
        try {
          yield* rowsOf(caseOf(name), await compare(a, b, context, contexts, chunk));
        } finally {
          await b.close();
        }
      } finally {
        await a.close();
      }
    }
  }
}

/** Teacher-forced: both evaluate the same text, whatever they would have written. */
async function compare(
  reference: NativeEngine,
  other: NativeEngine,
  context: number,
  contexts: number,
  chunk: number,
): Promise<Predictions> {
  const { addBos, bos, vocabulary } = reference.info;
  const start = addBos ? [bos] : [];
  const text = await mixedTokens(reference, contexts * (context - start.length));
  const predictions = new Predictions(vocabulary);
  for (let index = 0; index < contexts; index++) {
    const length = context - start.length;
    const tokens = Int32Array.from([
      ...start,
      ...text.subarray(index * length, (index + 1) * length),
    ]);
    for (const engine of [reference, other]) {
      await engine.truncate(0);
      await engine.evaluate(tokens.subarray(0, context / 2), 'last').result;
    }
    for (let at = context / 2; at < context; at += chunk) {
      const piece = tokens.subarray(at, at + chunk);
      const exact = await reference.evaluate(piece, 'all').result;
      const logits = await other.evaluate(piece, 'all').result;
      predictions.add(exact, logits, tokens.subarray(at + 1, at + 1 + chunk));
    }
  }
  return predictions;
}

function* rowsOf(prefix: string, predictions: Predictions): Generator<Row> {
  const { reference, other } = predictions.perplexity();
  const { mean, median, p999, sameTop } = predictions.divergence();
  const lower = (name: string, unit: string): Case => {
    return { case: `${prefix}/${name}`, unit, better: 'lower' };
  };
  const baseline = { name: referenceName, samples: [reference] };
  yield rowOf(lower('perplexity', ''), [other], baseline);
  yield rowOf(lower('perplexity-change', '%'), [100 * (other / reference - 1)]);
  yield rowOf({ case: `${prefix}/same-top`, unit: '%', better: 'higher' }, [100 * sameTop]);
  yield rowOf(lower('kld-mean', 'nats'), [mean]);
  yield rowOf(lower('kld-median', 'nats'), [median]);
  yield rowOf(lower('kld-99.9%', 'nats'), [p999]);
}

await runBenchmark({
  name: 'quality',
  model: (options) => path.basename(modelOf(options)),
  options: ['model', 'chunk'],
  measure,
});
