/**
 * `npm run bench:lookup`: what drafting by prompt lookup gains in decoding, by how much the text repeats itself, and that
 * the tokens stay the same.
 */
import fs from 'node:fs';
import path from 'node:path';
import { markersOf, promptFrame } from '../sidecar/completion/fim.ts';
import { fileHead } from '../sidecar/context/head.ts';
import type { CompleteResult, NativeEngine, Sampling } from '../sidecar/engine/addon.ts';
import { greedy } from '../sidecar/engine/sampling.ts';
import { Tokenizer } from '../sidecar/engine/tokenizer.ts';
import { bundledModel } from '../test/fixtures/models/generate.ts';
import { loadEngine } from './engine.ts';
import { progress, rowOf, runBenchmark, type Options, type Row } from './harness.ts';
import { holeKinds } from '../sidecar/evaluation/holes.ts';
import { corpusFiles, holesOf } from './holes.ts';

const maxTokens = 64;
/** Characters of a prompt that is no hole. */
const promptCharacters = 9000;
const root = path.resolve(import.meta.dirname, '../node_modules');

interface Kind {
  readonly name: string;
  readonly prompts: (count: number) => Promise<Int32Array[]>;
  readonly sampling: Sampling;
}

/** What a kind's prompts came to, all together. */
interface Sums {
  seconds: number;
  tokens: number;
  drafted: number;
  accepted: number;
}

function kindsOf({ info }: NativeEngine, tokenizer: Tokenizer): readonly Kind[] {
  const holes = async (kinds: readonly (typeof holeKinds)[number][], count: number) => {
    const each = Math.ceil(count / kinds.length);
    const prompts: Int32Array[] = [];
    for (const { file, before, after } of kinds.flatMap((kind) => holesOf(kind, each))) {
      const head = await fileHead(info, tokenizer, path.basename(file.name));
      const [prefix, suffix] = [await tokenizer.tokenize(before), await tokenizer.tokenize(after)];
      prompts.push(promptFrame(info, head).join(prefix, suffix));
    }
    return prompts.slice(0, count);
  };
  const texts = (all: readonly string[], count: number) =>
    Promise.all(all.slice(0, count).map((text) => tokenizer.tokenize(text)));
  return [
    ...holeKinds.map((kind) => ({
      name: kind,
      prompts: (count: number) => holes([kind], count),
      sampling: greedy,
    })),
    { name: 'tests', prompts: (count) => texts(testTexts(), count), sampling: greedy },
    {
      name: 'declarations',
      prompts: (count) => texts(declarationTexts(), count),
      sampling: greedy,
    },
    { name: 'rename', prompts: (count) => texts(renamedTexts(), count), sampling: greedy },
    // So hot that what follows is seldom what followed before.
    {
      name: 'hot',
      prompts: (count) => holes(holeKinds, count),
      sampling: { temperature: 1.5, topK: 40, topP: 1, minP: 0, seed: 1 },
    },
  ];
}

/** Files of a folder, as far as they are long enough, cut at a line. */
function textsOf(folder: string, ending: string): string[] {
  const names = fs.readdirSync(path.join(root, folder)).sort();
  return names
    .filter((name) => name.endsWith(ending))
    .map((name) => fs.readFileSync(path.join(root, folder, name), 'utf8'))
    .filter((text) => text.length > promptCharacters)
    .map((text) => text.slice(0, text.lastIndexOf('\n', promptCharacters) + 1));
}

const testTexts = (): string[] => textsOf('zod/src/v4/classic/tests', '.test.ts');
const declarationTexts = (): string[] => textsOf('@types/node', '.d.ts');

/** The start of a file, and behind it a part of that again with its most frequent name changed. */
function renamedTexts(): string[] {
  return corpusFiles().map((file) => {
    const text = file.text.slice(0, promptCharacters / 2);
    const counts = new Map<string, number>();
    for (const [name] of text.matchAll(/[A-Za-z_$][\w$]{5,}/g))
      counts.set(name, (counts.get(name) ?? 0) + 1);
    const [name = ''] = [...counts].sort(([, a], [, b]) => b - a)[0] ?? [];
    return `${text}\n${text.slice(0, text.length / 2).replaceAll(name, `${name}Next`)}`;
  });
}

async function* measureKind(native: NativeEngine, kind: Kind, quick: boolean): AsyncGenerator<Row> {
  const rounds = quick ? 1 : 5;
  const sums = (): Sums[] =>
    Array.from({ length: rounds }, () => ({ seconds: 0, tokens: 0, drafted: 0, accepted: 0 }));
  const [without, drafting] = [sums(), sums()];
  const stopTokens = Int32Array.from(markersOf(native.info.fim));
  const run = async (tokens: Int32Array, speculate: boolean): Promise<CompleteResult> => {
    const request = { tokens, maxTokens, speculate, sampling: kind.sampling, stopTokens };
    return native.complete(request, () => undefined).result;
  };
  const add = (to: Sums | undefined, result: CompleteResult): void => {
    if (to === undefined) return;
    to.seconds += result.decodeSeconds;
    to.tokens += result.tokens.length;
    to.drafted += result.draftedTokens;
    to.accepted += result.acceptedTokens;
  };
  let same = 0;
  const prompts = await kind.prompts(quick ? 3 : 40);
  // How long drafts may be is found out while a cache is filled.
  const first = prompts[0]?.subarray(0, 200) ?? Int32Array.of(1);
  const filling = { tokens: first, maxTokens: 0, sampling: greedy, stopTokens };
  await native.complete(filling, () => undefined).result;
  for (const prompt of prompts) {
    const tokens = prompt.subarray(0, native.info.contextTokens - maxTokens);
    const [one, other] = [await run(tokens, false), await run(tokens, true)]; // fills the cache
    same += Number(one.tokens.join() === other.tokens.join());
    for (let round = 0; round < rounds; round++) {
      add(without[round], await run(tokens, false));
      add(drafting[round], await run(tokens, true));
    }
  }
  const speeds = (all: readonly Sums[]): number[] => all.map((sum) => sum.tokens / sum.seconds);
  const share = (part: keyof Sums, of: keyof Sums): number[] =>
    drafting.slice(0, 1).map((sum) => (100 * sum[part]) / Math.max(1, sum[of]));
  const percent = (what: string, unit: string, samples: readonly number[]): Row =>
    rowOf({ case: `lookup/${kind.name}/${what}`, unit, better: 'higher' }, samples);
  yield rowOf(
    { case: `lookup/${kind.name}/decode`, unit: 'tokens/s', better: 'higher' },
    speeds(drafting),
    { name: 'without', samples: speeds(without) },
  );
  yield percent('drafted', '% of tokens', share('drafted', 'tokens'));
  yield percent('accepted', '% of drafted', share('accepted', 'drafted'));
  yield percent('same', '% of completions', [(100 * same) / prompts.length]);
}

const modelOf = ({ own }: Options): string => own['model'] ?? bundledModel;

async function* measure(options: Options): AsyncGenerator<Row> {
  const { quick, threads, selects } = options;
  const modelPath = modelOf(options);
  const cache = { policy: 'selective' } as const;
  const native = await loadEngine({ modelPath, cache, threads, contextTokens: 0 });
  try {
    const kinds = kindsOf(native, await Tokenizer.create(native));
    for (const kind of kinds.filter(({ name }) => selects(`lookup/${name}/`))) {
      progress(kind.name);
      yield* measureKind(native, kind, quick);
    }
  } finally {
    await native.close();
  }
}

await runBenchmark({
  name: 'lookup',
  model: (options) => path.basename(modelOf(options)),
  options: ['model'],
  measure,
});
