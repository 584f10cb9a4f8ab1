/**
 * `npm run bench:restart`: how long an editor that is started again waits until completions see its open files, with the
 * snapshot of the time before and without, and what writing and reading it takes.
 */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { SnapshotFiles } from '../sidecar/context/snapshotFiles.ts';
import { succeed } from '../sidecar/result.ts';
import { mixedText } from '../test/fixtures/corpus.ts';
import { bundledModel, modelFile } from '../test/fixtures/models/generate.ts';
import { benchmarkModel } from '../test/fixtures/models/specs.ts';
import { serveInProcess } from '../test/unit/support/inProcess.ts';
import type { LspClient } from '../test/unit/support/lspClient.ts';
import { addonHere, anyTokens, goTo, loadEngine } from './engine.ts';
import { progress, rowOf, runBenchmark, sampleInTurn, type Options, type Row } from './harness.ts';

const idleMs = 500;

interface Place {
  readonly name: string;
  readonly model: () => string;
  readonly contextTokens: number;
  /** Characters of each of the three files that are open. */
  readonly characters: number;
  readonly rounds: number;
}

/** An editor on the language server, with three files open and a fourth in which completions are asked for. */
interface Editor {
  readonly client: LspClient;
  /** Asks for a completion behind what is in the cache. */
  readonly ask: () => Promise<unknown>;
  readonly close: () => Promise<void>;
}

const files = ['one', 'two', 'three'].map((name) => `file:///src/${name}.ts`);

async function start(place: Place, threads: number, snapshots: string): Promise<Editor> {
  const { client, close } = serveInProcess({
    bundledModel: place.model(),
    loadAddon: () => succeed(addonHere()),
    snapshotFiles: new SnapshotFiles(snapshots),
    idleMs,
  });
  const settings = {
    threads,
    model: { contextTokens: place.contextTokens },
    completion: { maxTokens: 16 },
    cache: { selfCheck: false },
  };
  await client.initialize(settings, [{ uri: 'file:///src', name: 'src' }]);
  for (const [index, uri] of files.entries()) {
    await client.open(uri, mixedText(place.characters, index * place.characters));
  }
  const [asked, text] = ['file:///src/asked.ts', 'export function first('];
  await client.open(asked, text);
  const position = { line: 0, character: text.length };
  return {
    client,
    ask: () => client.complete(asked, position),
    close,
  };
}

/** How many tokens the files have; what is on disk of them is in `snapshots` then. */
async function prepare(place: Place, threads: number, snapshots: string): Promise<number> {
  const { client, ask, close } = await start(place, threads, snapshots);
  await ask();
  const isWhole = (uri: string): boolean =>
    client.stats
      .at(-1)
      ?.inSight?.files.some((file) => file.uri === uri && file.tokens === file.documentTokens) ===
    true;
  await client.until(() => files.every(isWhole));
  const tokens = client.stats.at(-1)?.tokens ?? 0;
  await close();
  return tokens;
}

/** Seconds from the start of the language server to the first completion that has all files in sight. */
async function firstCompletion(
  place: Place,
  threads: number,
  snapshots: string,
  tokens: number,
): Promise<number> {
  const began = performance.now();
  const { client, ask, close } = await start(place, threads, snapshots);
  await client.until(() => (client.stats.at(-1)?.tokens ?? 0) >= tokens);
  await ask();
  const seconds = (performance.now() - began) / 1000;
  await close();
  return seconds;
}

async function* rowsOf(place: Place, { quick, threads }: Options): AsyncGenerator<Row> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sightline-bench-'));
  // What the server waits for does not keep a process alive.
  const alive = setInterval(() => undefined, 60_000);
  try {
    const kept = path.join(folder, 'kept');
    const tokens = await prepare(place, threads, kept);
    progress(`${place.name}: ${tokens} tokens of files`);
    yield rowOf({ case: `restart/${place.name}/tokens`, unit: 'tokens', better: 'higher' }, [
      tokens,
    ]);
    let colds = 0;
    const samples = await sampleInTurn(
      quick ? 1 : place.rounds,
      new Map([
        ['cold', () => firstCompletion(place, threads, path.join(folder, `${colds++}`), tokens)],
        ['warm', () => firstCompletion(place, threads, kept, tokens)],
      ]),
    );
    const caseOf = (what: string): string => `restart/${place.name}/${what}`;
    yield rowOf(
      { case: caseOf('first-completion'), unit: 's', better: 'lower' },
      samples.get('warm') ?? [],
      { name: 'evaluated anew', samples: samples.get('cold') ?? [] },
    );

    const { model, contextTokens } = place;
    const cache = { policy: 'selective' } as const;
    const engine = await loadEngine({ modelPath: model(), cache, threads, contextTokens });
    await goTo(engine, anyTokens(tokens), tokens);
    const session = path.join(folder, 'session');
    const timed = (run: () => Promise<unknown>) => async (): Promise<number> => {
      const began = performance.now();
      await run();
      return performance.now() - began;
    };
    const calls = await sampleInTurn(
      quick ? 3 : 15,
      new Map([
        ['write', timed(() => engine.saveSession(session))],
        ['read', timed(() => engine.restoreSession(session))],
      ]),
    );
    for (const [what, times] of calls)
      yield rowOf({ case: caseOf(what), unit: 'ms', better: 'lower' }, times);
    const mebibytes = fs.statSync(session).size / 2 ** 20;
    yield rowOf({ case: caseOf('size'), unit: 'MiB', better: 'lower' }, [mebibytes]);
    await engine.close();
  } finally {
    clearInterval(alive);
    fs.rmSync(folder, { recursive: true });
  }
}

async function* measure(options: Options): AsyncGenerator<Row> {
  const places: readonly Place[] = [
    {
      name: 'bundled-8k',
      model: () => bundledModel,
      contextTokens: 0,
      characters: 7400,
      rounds: 9,
    },
    {
      name: '0.5b',
      model: () => modelFile(benchmarkModel),
      contextTokens: 8192,
      characters: 7400,
      rounds: 3,
    },
  ];
  for (const place of places.filter(({ name }) => options.selects(`restart/${name}/`)))
    yield* rowsOf(place, options);
}

await runBenchmark({
  name: 'restart',
  model: () => `sightline-tiny-code, ${benchmarkModel.name}`,
  measure,
});
