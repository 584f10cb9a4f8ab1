/**
 * A llama.cpp program that knows nothing of Sightline: node-llama-cpp's own API on its own prebuilt
 * libraries. MODEL SOURCE SCENARIO...: takes the model through the scenarios on the text of a source
 * file and prints a `Report` as JSON.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

export interface Report {
  readonly devices: readonly string[];
  /** What llama.cpp, ggml and the backends logged, line by line. */
  readonly log: readonly string[];
  /** By scenario: what the model wrote, or the tokens it finds likeliest. */
  readonly results: Readonly<Partial<Record<Scenario, readonly (string | number)[]>>>;
}

/** Of node-llama-cpp, what is used here. */
interface Sequence {
  evaluate(tokens: readonly number[], options: { temperature: number }): AsyncIterable<number>;
  evaluateWithoutGeneratingNewTokens(tokens: readonly number[]): Promise<void>;
  controlledEvaluate(
    input: readonly (number | [number, object])[],
  ): Promise<readonly ({ readonly next: { readonly token?: number | null } } | undefined)[]>;
  clearHistory(): Promise<void>;
  eraseContextTokenRanges(ranges: readonly { start: number; end: number }[]): Promise<void>;
  saveStateToFile(path: string): Promise<unknown>;
  loadStateFromFile(path: string, risk: { acceptRisk: true }): Promise<void>;
}
interface Context {
  getSequence(): Sequence;
  dispose(): Promise<void>;
}
interface Model {
  createContext(options: object): Promise<Context>;
  tokenize(text: string): readonly number[];
  detokenize(tokens: readonly number[]): string;
  dispose(): Promise<void>;
}
interface Llama {
  getGpuDeviceNames(): Promise<readonly string[]>;
  loadModel(options: object): Promise<Model>;
  dispose(): Promise<void>;
}
interface NodeLlamaCpp {
  readonly getLlama: (options: object) => Promise<Llama>;
}

const contextSize = 2048;
const written = 40;

async function greedy(sequence: Sequence, tokens: readonly number[]): Promise<number[]> {
  const all: number[] = [];
  for await (const token of sequence.evaluate(tokens, { temperature: 0 })) {
    all.push(token);
    if (all.length === written) break;
  }
  return all;
}

interface Given {
  readonly tokens: readonly number[];
  readonly folder: string;
  readonly text: (tokens: readonly number[]) => string;
  /** A context that is disposed of when `use` is done. */
  readonly inContext: <T>(use: (context: Context) => Promise<T>, options?: object) => Promise<T>;
}

const scenarios = {
  async complete({ tokens, text, inContext }: Given) {
    return inContext(async (context) => [text(await greedy(context.getSequence(), tokens))]);
  },
  async inSmallSteps({ tokens, text, inContext }: Given) {
    return inContext(async (context) => [text(await greedy(context.getSequence(), tokens))], {
      batchSize: 128,
    });
  },
  /** The likeliest token after each of the last 500, all of them given. */
  async tops({ tokens, inContext }: Given) {
    const next = { generateNext: { token: true, options: { temperature: 0 } } };
    return inContext(async (context) => {
      const sequence = context.getSequence();
      await sequence.evaluateWithoutGeneratingNewTokens(tokens.slice(0, -500));
      const last = tokens.slice(-500).map((token): [number, object] => [token, next]);
      return (await sequence.controlledEvaluate(last)).map((after) => after?.next.token ?? -1);
    });
  },
  /** Goes back 900 tokens, far behind the window, and writes on from there. */
  async rollback({ tokens, text, inContext }: Given) {
    return inContext(async (context) => {
      const sequence = context.getSequence();
      await sequence.evaluateWithoutGeneratingNewTokens(tokens);
      const [start, end] = [tokens.length - 900, tokens.length];
      await sequence.eraseContextTokenRanges([{ start, end }]);
      return [text(await greedy(sequence, tokens.slice(start, start + 20)))];
    });
  },
  /** Takes tokens out of the middle: llama.cpp shifts the later ones. */
  async shift({ tokens, text, inContext }: Given) {
    return inContext(async (context) => {
      const sequence = context.getSequence();
      await sequence.evaluateWithoutGeneratingNewTokens(tokens.slice(0, 800));
      await sequence.eraseContextTokenRanges([{ start: 100, end: 300 }]);
      return [text(await greedy(sequence, tokens.slice(800, 820)))];
    });
  },
  async restore({ tokens, text, folder, inContext }: Given) {
    const file = join(folder, 'state');
    await inContext(async (context) => {
      const sequence = context.getSequence();
      await sequence.evaluateWithoutGeneratingNewTokens(tokens.slice(0, 1000));
      await sequence.saveStateToFile(file);
    });
    return inContext(async (context) => {
      const sequence = context.getSequence();
      await sequence.loadStateFromFile(file, { acceptRisk: true });
      return [text(await greedy(sequence, tokens.slice(1000, 1020)))];
    });
  },
  async twoContexts({ tokens, text, inContext }: Given) {
    return inContext((first) =>
      inContext(async (second) => {
        const all = [
          greedy(first.getSequence(), tokens),
          greedy(second.getSequence(), tokens.slice(700)),
        ];
        return (await Promise.all(all)).map(text);
      }),
    );
  },
  async twoSequences({ tokens, text, inContext }: Given) {
    return inContext(
      async (context) => {
        const parts = [tokens.slice(0, 500), tokens.slice(700, 1000)];
        return (await Promise.all(parts.map((part) => greedy(context.getSequence(), part)))).map(
          text,
        );
      },
      { sequences: 2 },
    );
  },
  async withoutFlashAttention({ tokens, text, inContext }: Given) {
    return inContext(async (context) => [text(await greedy(context.getSequence(), tokens))], {
      flashAttention: false,
    });
  },
  /** What does not fit in the bound, and then what does. */
  async tooLong({ tokens, text, inContext }: Given) {
    return inContext(async (context) => {
      const sequence = context.getSequence();
      let [outcome, at] = ['evaluated', 0];
      for (; outcome === 'evaluated' && at < tokens.length; at += 400) {
        const part = tokens.slice(at, at + 400);
        outcome = await sequence.evaluateWithoutGeneratingNewTokens(part).then(
          () => outcome,
          (error: unknown) => String(error),
        );
      }
      await sequence.clearHistory();
      return [outcome, at, text(await greedy(sequence, tokens.slice(0, 200)))];
    });
  },
  async quantisedByLlama({ tokens, text, inContext }: Given) {
    return inContext(async (context) => [text(await greedy(context.getSequence(), tokens))], {
      experimentalKvCacheKeyType: 'Q8_0',
      experimentalKvCacheValueType: 'Q8_0',
    });
  },
};
export type Scenario = keyof typeof scenarios;

async function main(
  modelPath: string,
  source: string,
  names: readonly Scenario[],
): Promise<Report> {
  const entry = '../../scripts/node-llama-cpp/node_modules/node-llama-cpp/dist/index.js';
  const url = pathToFileURL(join(import.meta.dirname, entry)).href;
  const { getLlama } = (await import(url)) as NodeLlamaCpp;
  const log: string[] = [];
  const llama = await getLlama({
    gpu: false, // its build for machines without a GPU; devices of other backends count all the same
    build: 'never',
    skipDownload: true,
    progressLogs: false,
    maxThreads: 1,
    logLevel: 'debug',
    logger: (_level: string, line: string) => log.push(line),
  });
  const devices = await llama.getGpuDeviceNames();
  const model = await llama.loadModel({ modelPath, gpuLayers: 'max' });
  const folder = await mkdtemp(join(tmpdir(), 'sightline-'));
  const given: Given = {
    tokens: model.tokenize(await readFile(source, 'utf8')).slice(0, 1700),
    folder,
    text: (tokens) => model.detokenize(tokens),
    inContext: async (use, options = {}) => {
      const base = { contextSize, batchSize: 512, threads: 1, flashAttention: true };
      const context = await model.createContext({ ...base, ...options });
      try {
        return await use(context);
      } finally {
        await context.dispose();
      }
    },
  };
  const results: Partial<Record<Scenario, (string | number)[]>> = {};
  try {
    for (const name of names) results[name] = await scenarios[name](given);
  } finally {
    await rm(folder, { recursive: true });
  }
  await model.dispose();
  await llama.dispose();
  return { devices, log, results };
}

const [modelPath, source, ...names] = process.argv.slice(2);
if (modelPath !== undefined && source !== undefined) {
  process.stdout.write(JSON.stringify(await main(modelPath, source, names as Scenario[])));
}
