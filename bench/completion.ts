/**
 * `npm run eval:completion`: how well the model writes what was taken out of real files, by what it sees of them and by the
 * cache. Prompts and filters are the product's.
 */
import path from 'node:path';
import { complete, type Completion } from '../sidecar/completion/complete.ts';
import { markersOf, promptFrame } from '../sidecar/completion/fim.ts';
import { fileHead, startOf } from '../sidecar/context/head.ts';
import { grammarsFolder } from '../sidecar/engine/load.ts';
import type { LoadedModel } from '../sidecar/engine/engine.ts';
import { greedy } from '../sidecar/engine/sampling.ts';
import { Tokenizer } from '../sidecar/engine/tokenizer.ts';
import { joinTokens } from '../sidecar/engine/tokens.ts';
import { Grammars } from '../sidecar/syntax/parser.ts';
import { bundledModel } from '../test/fixtures/models/generate.ts';
import { lossBehind } from '../sidecar/evaluation/logits.ts';
import { loadEngine, ours } from './engine.ts';
import { progress, rowOf, runBenchmark, type Options, type Row } from './harness.ts';
import type { CorpusFile } from '../sidecar/evaluation/corpus.ts';
import {
  holeKinds,
  liveTokens,
  maxTokens,
  putInSight,
  type Hole,
} from '../sidecar/evaluation/holes.ts';
import { editSimilarity } from '../sidecar/evaluation/similarity.ts';
import { bootstrap, mean } from '../sidecar/evaluation/statistics.ts';
import { corpusFiles, holesOf } from './holes.ts';

const never = new AbortController().signal;
const nearTokens = 1024;
const grammars = new Grammars(grammarsFolder(), (message) => {
  throw new Error(message);
});

/** What one hole came to. */
interface Score {
  /** Of the missing text, in nats a token: how far the model is from writing it. */
  readonly loss: number;
  readonly exact: number;
  readonly similarity: number;
  /** That are offered. */
  readonly lines: number;
  /** Offered lines, from the first one on, that are what the file has. */
  readonly right: number;
}

interface Strategy {
  readonly name: string;
  readonly cache: string;
  /** Files that the prompt starts with, the most important first. */
  readonly files: 'none' | 'own' | 'several';
}

const strategies: readonly Strategy[] = [
  { name: '1k', cache: 'full', files: 'none' },
  { name: 'file/full', cache: 'full', files: 'own' },
  { name: 'file/int8', cache: 'int8', files: 'own' },
  { name: 'file/int4', cache: 'int4', files: 'own' },
  { name: 'files/int8', cache: 'int8', files: 'several' },
];

const modelOf = ({ own }: Options): string => own['model'] ?? bundledModel;

async function load(modelPath: string, cacheName: string, threads: number): Promise<LoadedModel> {
  const cache = ours.get(cacheName);
  if (cache === undefined) throw new Error(`no cache is called ${cacheName}`);
  const choice = { modelPath, cache, threads, contextTokens: 0 };
  const native = await loadEngine(choice);
  const options = { ...choice, cacheBudgetBytes: 0, selfCheck: false };
  return { options, native, tokenizer: await Tokenizer.create(native), recalledCheck: undefined };
}

/** What the cache holds before the hole's prompt, the most important first. */
function filesFor({ file, before, after }: Hole, files: Strategy['files']): CorpusFile[] {
  if (files === 'none') return [];
  const own = { ...file, text: before + after };
  if (files === 'own') return [own];
  const folder = path.dirname(file.name);
  const others = corpusFiles().filter(
    ({ name }) => name !== file.name && path.dirname(name) === folder,
  );
  return [own, ...others.slice(0, 2)];
}

async function scoreOf(model: LoadedModel, hole: Hole, { files }: Strategy): Promise<Score> {
  const outcome = await complete(
    model,
    {
      uri: hole.file.name,
      name: path.basename(hole.file.name),
      text: hole.before + hole.after,
      offset: hole.before.length,
      maxTokens,
      liveTokens: files === 'none' ? nearTokens : liveTokens,
      stable: await putInSight(model, filesFor(hole, files), hole.before.length, never),
      grammars,
    },
    never,
  );
  if (!outcome.ok) throw new Error(outcome.error.message);
  const { text } = outcome.value;
  const lines = hole.missing.split('\n').length;
  const offered = text === '' ? [] : text.split('\n');
  const file = (hole.missing + hole.after).split('\n');
  const wrong = offered.findIndex((line, index) => line.trimEnd() !== file[index]?.trimEnd());
  const written = text.split('\n').slice(0, lines).join('\n');
  return {
    loss: await lossOf(model, hole, outcome.value),
    exact: Number(written.trimEnd() === hole.missing.trimEnd()),
    similarity: editSimilarity(written, hole.missing),
    lines: offered.length,
    right: wrong < 0 ? offered.length : wrong,
  };
}

/** Teacher-forced, behind the same prompt. */
async function lossOf(
  { native, tokenizer }: LoadedModel,
  hole: Hole,
  { prompt }: Completion,
): Promise<number> {
  const { info } = native;
  const head = await fileHead(info, tokenizer, path.basename(hole.file.name));
  const live = promptFrame(info, head).join(prompt.prefix, prompt.suffix);
  const stable = prompt.stable.tokens.length > 0 ? prompt.stable.tokens : startOf(info);
  const tokens = joinTokens([stable, live]);
  // The prompt ends before the space that the hole starts behind.
  const space = hole.before.endsWith(' ') ? ' ' : '';
  const missing = await tokenizer.tokenize(`${space}${hole.missing}\n`);
  const stopTokens = Int32Array.from(markersOf(info.fim));
  await native.complete({ tokens, maxTokens: 0, sampling: greedy, stopTokens }, () => undefined)
    .result;
  const { loss } = await lossBehind(native, tokens, missing, never);
  return loss / missing.length;
}

async function* measure(options: Options): AsyncGenerator<Row> {
  const { quick, threads } = options;
  const holes = holeKinds.flatMap((kind) => holesOf(kind, quick ? 4 : 120));
  const scores = new Map<string, Score[]>();
  const models = new Map<string, LoadedModel>();
  try {
    for (const cache of new Set(strategies.map((one) => one.cache)))
      models.set(cache, await load(modelOf(options), cache, threads));
    for (const [index, hole] of holes.entries()) {
      if (index % 10 === 0) progress(`${index} of ${holes.length} holes`);
      for (const strategy of strategies) {
        const model = models.get(strategy.cache);
        if (model === undefined) continue;
        const score = await scoreOf(model, hole, strategy);
        scores.set(strategy.name, [...(scores.get(strategy.name) ?? []), score]);
      }
    }
  } finally {
    for (const { native } of models.values()) await native.close();
  }
  yield* rowsOf(holes, scores);
}

function* rowsOf(
  holes: readonly Hole[],
  scores: ReadonlyMap<string, readonly Score[]>,
): Generator<Row> {
  const subsets = [
    { name: 'all', includes: () => true },
    { name: 'needs-far', includes: ({ needsFar }: Hole) => needsFar },
  ];
  for (const { name: subset, includes } of subsets) {
    const chosen = holes.flatMap((hole, index) => (includes(hole) ? [index] : []));
    if (chosen.length === 0) continue;
    yield rowOf({ case: `completion/${subset}/holes`, unit: 'holes', better: 'higher' }, [
      chosen.length,
    ]);
    const of = (strategy: string, what: keyof Score): number[] =>
      chosen.map((index) => scores.get(strategy)?.[index]?.[what] ?? Number.NaN);
    for (const { name } of strategies) {
      const caseOf = (what: string): string => `completion/${subset}/${name}/${what}`;
      yield rowOf({ case: caseOf('loss'), unit: 'nats a token', better: 'lower' }, [
        mean(of(name, 'loss')),
      ]);
      for (const what of ['exact', 'similarity'] as const)
        yield rowOf({ case: caseOf(what), unit: '%', better: 'higher' }, [
          100 * mean(of(name, what)),
        ]);
      yield rowOf({ case: caseOf('lines'), unit: 'lines', better: 'lower' }, [
        mean(of(name, 'lines')),
      ]);
      yield rowOf({ case: caseOf('right'), unit: 'lines', better: 'higher' }, [
        mean(of(name, 'right')),
      ]);
    }
    for (const [a, b] of [
      ['file/full', '1k'],
      ['file/int8', 'file/full'],
      ['file/int4', 'file/full'],
      ['files/int8', 'file/int8'],
    ] as const) {
      const theirs = of(b, 'loss');
      const differences = of(a, 'loss').map((loss, index) => loss - (theirs[index] ?? 0));
      const what = `completion/${subset}/${a} less ${b}`;
      const { low, high } = bootstrap(differences, mean);
      const unit = 'nats a token';
      yield rowOf({ case: `${what}/loss`, unit, better: 'lower' }, [mean(differences)]);
      yield rowOf({ case: `${what}/loss-low`, unit, better: 'lower' }, [low]);
      yield rowOf({ case: `${what}/loss-high`, unit, better: 'lower' }, [high]);
    }
  }
}

await runBenchmark({
  name: 'completion',
  model: (options) => path.basename(modelOf(options)),
  options: ['model'],
  measure,
});
