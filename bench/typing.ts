/**
 * `npm run bench:typing`: what a keystroke costs. Typing sessions over real files go through the language server; a policy
 * like llama.vscode's (256 lines before the cursor, 64 after it, nothing else) sees the same keystrokes on an engine of its
 * own.
 */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { markersOf, promptFrame } from '../sidecar/completion/fim.ts';
import { fileHead } from '../sidecar/context/head.ts';
import type { NativeEngine } from '../sidecar/engine/addon.ts';
import type { LoadedAddon } from '../sidecar/engine/load.ts';
import { greedy } from '../sidecar/engine/sampling.ts';
import { Tokenizer } from '../sidecar/engine/tokenizer.ts';
import { succeed } from '../sidecar/result.ts';
import { mixedText } from '../test/fixtures/corpus.ts';
import { bundledModel, modelFile } from '../test/fixtures/models/generate.ts';
import { benchmarkModel, longContextModel } from '../test/fixtures/models/specs.ts';
import { Editor } from '../test/unit/support/editor.ts';
import { serveInProcess } from '../test/unit/support/inProcess.ts';
import { withComplete } from '../test/unit/support/watched.ts';
import { addonHere, loadEngine } from './engine.ts';
import { progress, rowOf, runBenchmark, type Case, type Options, type Row } from './harness.ts';
import { isKey, lastKeys, readRecording, type Recording } from './recording.ts';
import { editsBetween, releases, type Release } from './releases.ts';
import { quantile } from '../sidecar/evaluation/statistics.ts';

const maxTokens = 16;
const idleMs = 500;
/** Between two keys of someone who types 80 words a minute. */
const keyMs = 150;
const baselineName = '256 + 64 lines';

/** One prompt, as the engine saw it. */
interface Asked {
  readonly promptTokens: number;
  readonly reusedTokens: number;
  readonly prefilledTokens: number;
  readonly generatedTokens: number;
  /** From the request to the first token. */
  readonly firstTokenMs: number;
  readonly aborted: boolean;
}

/** The addon, with all that its engines are asked for written down; `since` is when the editor asked. */
function recording(addon: LoadedAddon, asked: Asked[], since: () => number): LoadedAddon {
  return withComplete(addon, (native, request, onEvent) => {
    const start = since();
    let first = Number.NaN;
    let generated = 0;
    let prefilled = 0;
    const job = native.complete(request, (event) => {
      if (event.kind === 'prefill') prefilled = event.total;
      else generated++;
      if (event.kind === 'text' && Number.isNaN(first)) first = performance.now() - start;
      onEvent(event);
    });
    if (request.maxTokens === 0) return job;
    const promptTokens = request.tokens.length;
    const note = (what: Partial<Asked>): void => {
      asked.push({
        promptTokens,
        reusedTokens: promptTokens - prefilled,
        prefilledTokens: prefilled,
        generatedTokens: generated,
        firstTokenMs: Number.isNaN(first) ? performance.now() - start : first,
        aborted: false,
        ...what,
      });
    };
    const result = job.result.then(
      (done) => {
        const { reusedTokens, prefilledTokens, tokens } = done;
        note({ reusedTokens, prefilledTokens, generatedTokens: tokens.length });
        return done;
      },
      (error: unknown) => {
        note({ aborted: true });
        throw error;
      },
    );
    return { result, abort: job.abort.bind(job), finish: job.finish.bind(job) };
  });
}

/** An editor, with all that it makes the engine do written down. */
class RecordedEditor extends Editor {
  readonly asked: Asked[];
  readonly #close: () => Promise<void>;
  #since = 0;

  constructor(modelPath: string) {
    const asked: Asked[] = [];
    let since = (): number => 0;
    const addon = recording(addonHere(), asked, () => since());
    const { client, close } = serveInProcess({
      bundledModel: modelPath,
      loadAddon: () => succeed(addon),
      idleMs,
    });
    super(client);
    this.asked = asked;
    this.#close = close;
    since = () => this.#since;
  }

  end(): Promise<void> {
    return this.#close();
  }

  /** Resolves once a file is in the cache as a whole, or around the cursor. */
  async settled(uri: string): Promise<void> {
    const isWhole = (): boolean => {
      const inSight = this.client.stats.at(-1)?.inSight;
      const file = inSight?.files.find((one) => one.uri === uri);
      if (file !== undefined) return file.tokens === file.documentTokens;
      return inSight?.omittedBefore === 0 && inSight.omittedAfter === 0;
    };
    while (!isWhole()) await sleep(idleMs);
  }

  /** What is offered at the cursor, and after how many milliseconds. */
  async timed(): Promise<{ readonly text: string; readonly ms: number }> {
    this.#since = performance.now();
    const text = await this.ask();
    return { text, ms: performance.now() - this.#since };
  }
}

/** The policy to compare with: a window of lines, and what the cache happens to hold of it. */
class LinesAround {
  readonly #native: NativeEngine;
  readonly #tokenizer: Tokenizer;
  readonly asked: Asked[] = [];

  private constructor(native: NativeEngine, tokenizer: Tokenizer) {
    this.#native = native;
    this.#tokenizer = tokenizer;
  }

  static async load(modelPath: string, threads: number): Promise<LinesAround> {
    const cache = { policy: 'selective' } as const;
    const native = await loadEngine({ modelPath, cache, threads, contextTokens: 0 });
    return new LinesAround(native, await Tokenizer.create(native));
  }

  async ask(text: string, offset: number): Promise<void> {
    const { info } = this.#native;
    const start = performance.now();
    const before = text.slice(0, offset).split('\n').slice(-257).join('\n');
    const after = text.slice(offset).split('\n').slice(0, 65).join('\n');
    const head = await fileHead(info, this.#tokenizer, 'file.ts');
    const [prefix, suffix] = await Promise.all([
      this.#tokenizer.tokenize(before),
      this.#tokenizer.tokenize(after),
    ]);
    const tokens = promptFrame(info, head).join(prefix, suffix);
    let first = Number.NaN;
    const stopTokens = Int32Array.from(markersOf(info.fim));
    const result = await this.#native.complete(
      { tokens, maxTokens, sampling: greedy, stopTokens },
      ({ kind }) => {
        if (kind === 'text' && Number.isNaN(first)) first = performance.now() - start;
      },
    ).result;
    this.asked.push({
      ...result,
      promptTokens: tokens.length,
      generatedTokens: result.tokens.length,
      firstTokenMs: Number.isNaN(first) ? performance.now() - start : first,
      aborted: false,
    });
  }

  close(): Promise<void> {
    return this.#native.close();
  }
}

const typed = `
function summarise(values: readonly number[]): { mean: number; largest: number } {
  const total = values.reduce((sum, value) => sum + value, 0);
`;

const pasted = 'export interface Pasted {\n  readonly name: string;\n  readonly size: number;\n}\n';

/** The end of the line at about this share of a text. */
const lineEndAt = (text: string, share: number): number => {
  const end = text.indexOf('\n', Math.floor(text.length * share));
  return end < 0 ? text.length : end;
};

/** Where typing happens, and what it makes both policies do. */
interface Desk {
  readonly editor: RecordedEditor;
  readonly open: (uri: string, text: string) => Promise<void>;
  /** Once a file is in the cache as a whole. */
  readonly settled: (uri: string) => Promise<void>;
  /** Types a text, and has it completed after every character. */
  readonly write: (text: string) => Promise<void>;
  /** A change at once, and what is offered behind it; of so many characters before the cursor. */
  readonly replace: (count: number, text: string) => Promise<void>;
}

interface Place {
  readonly name: string;
  readonly modelPath: string;
  readonly work: (desk: Desk) => Promise<void>;
  /** Whether keys in a rhythm come behind it. */
  readonly goesOn: boolean;
}

const main = 'file:///src/main.ts';

/** Keystrokes in the middle of a file, a paste and its undoing, a jump, and another file. */
async function madeUp({ editor, ...desk }: Desk, characters: number, keys: number): Promise<void> {
  const second = 'file:///src/second.ts';
  const text = mixedText(characters);
  const secondText = mixedText(2000, characters);
  await desk.open(second, secondText);
  await desk.open(main, text);
  editor.go(main, lineEndAt(text, 0.4));
  await desk.settled(main);
  await desk.write(typed.slice(0, keys));
  await desk.replace(0, pasted);
  await desk.replace(pasted.length, '');
  editor.go(main, lineEndAt(editor.textOf(main), 0.8));
  await desk.write(typed.slice(0, Math.ceil(keys / 3)));
  editor.go(second, lineEndAt(secondText, 0.5));
  await desk.write(typed.slice(0, Math.ceil(keys / 3)));
  editor.go(main, lineEndAt(editor.textOf(main), 0.4));
  await desk.write(typed.slice(0, Math.ceil(keys / 3)));
}

/**
 * What a release changed, from file to file: lines that went are deleted at once, of those that came each begins with a few
 * characters that are typed, and its rest is there at once, as if it had been accepted.
 */
async function asReleased(
  { editor, ...desk }: Desk,
  { name, versions, files }: Release,
  keysOfALine: number,
  mostLines: number,
): Promise<void> {
  progress(`${name} ${versions}`);
  const uriOf = (file: string): string => `file:///src/${file}`;
  /** No faster than a key comes: nobody does. */
  const atOnce = async (count: number, text: string): Promise<void> => {
    await sleep(keyMs);
    await editor.replace(count, text);
  };
  for (const file of files) await desk.open(uriOf(file.name), file.before);
  for (const { name, before, after } of files) {
    const uri = uriOf(name);
    // In the middle of a word nothing is offered.
    editor.go(uri, lineEndAt(before, 0));
    await desk.settled(uri);
    for (const { offset, removed, inserted } of editsBetween(before, after)) {
      editor.go(uri, offset + removed.length);
      if (removed !== '') await atOnce(removed.length, '');
      const lines = inserted.split(/(?<=\n)/);
      for (const [index, line] of lines.entries()) {
        const indent = /^\s*/.exec(line)?.[0] ?? '';
        const keys =
          index < mostLines ? line.slice(indent.length, indent.length + keysOfALine) : '';
        if (indent !== '') await atOnce(0, indent);
        await desk.write(keys);
        await atOnce(0, line.slice(indent.length + keys.length));
      }
    }
    if (editor.textOf(uri) !== after) throw new Error(`${name} did not become what was released`);
  }
}

/** Every key of it with a completion; what else was done is there at once. */
async function asRecorded(
  { editor, ...desk }: Desk,
  name: string,
  { before, steps, after }: Recording,
): Promise<void> {
  const uri = `file:///src/${name}`;
  await desk.open(uri, before);
  editor.go(uri, lineEndAt(before, 0));
  await desk.settled(uri);
  for (const step of steps) {
    if (!isKey(step)) await sleep(keyMs);
    for (const { offset, removed, inserted } of step) {
      editor.go(uri, offset + removed.length);
      if (isKey(step)) await desk.write(inserted);
      else await editor.replace(removed.length, inserted);
    }
  }
  if (editor.textOf(uri) !== after) throw new Error(`${name} did not become what was recorded`);
}

/** What a session makes the engine do, beside the other policy at the same moments. */
async function* sessionRows(place: Place, keys: number, threads: number): AsyncGenerator<Row> {
  const editor = new RecordedEditor(place.modelPath);
  const other = await LinesAround.load(place.modelPath, threads);
  try {
    await editor.client.initialize({
      threads,
      completion: { maxTokens },
      cache: { selfCheck: false },
    });
    const both = async (): Promise<void> => {
      await editor.timed();
      await other.ask(editor.text, editor.offset);
    };
    progress(place.name);
    let begun = false;
    await place.work({
      editor,
      open: (uri, text) => editor.open(uri, text),
      settled: async (uri) => {
        // The first file is part of the start; later ones have been in the cache for long.
        if (begun) return;
        begun = true;
        await editor.timed();
        await editor.settled(uri);
        editor.asked.length = 0;
      },
      write: async (text) => {
        for (const character of text) {
          await editor.replace(0, character);
          await both();
        }
      },
      replace: async (count, text) => {
        await editor.replace(count, text);
        await both();
      },
    });

    if (editor.asked.length === 0) throw new Error(`${place.name}: no key asked for a completion`);
    const caseOf = (what: string): string => `typing/${place.name}/${what}`;
    const figures = (all: readonly Asked[], of: (one: Asked) => number): number[] => all.map(of);
    const theirs = (of: (one: Asked) => number, share?: number) => {
      const samples = figures(other.asked, of);
      return {
        name: baselineName,
        samples: share === undefined ? samples : [quantile(samples, share)],
      };
    };
    const prefilled = (one: Asked): number => one.prefilledTokens;
    const first = (one: Asked): number => one.firstTokenMs;
    const cached = (all: readonly Asked[]): number => {
      const sum = (of: (one: Asked) => number): number =>
        figures(all, of).reduce((total, value) => total + value, 0);
      return (
        (100 * sum(({ reusedTokens }) => reusedTokens)) / sum(({ promptTokens }) => promptTokens)
      );
    };
    const lower = (what: string, unit: string): Case => ({
      case: caseOf(what),
      unit,
      better: 'lower',
    });
    for (const share of [0.5, 0.9]) {
      const name = `p${100 * share}`;
      yield rowOf(
        lower(`prefilled/${name}`, 'tokens a keystroke'),
        [quantile(figures(editor.asked, prefilled), share)],
        theirs(prefilled, share),
      );
      yield rowOf(
        lower(`first-token/${name}`, 'ms'),
        [quantile(figures(editor.asked, first), share)],
        theirs(first, share),
      );
    }
    yield rowOf({ case: caseOf('cached'), unit: '% of prompt tokens', better: 'higher' }, [
      cached(editor.asked),
    ]);
    yield rowOf(
      { case: caseOf('in-sight'), unit: 'tokens a prompt', better: 'higher' },
      [
        quantile(
          figures(editor.asked, ({ promptTokens }) => promptTokens),
          0.5,
        ),
      ],
      theirs(({ promptTokens }) => promptTokens, 0.5),
    );
    if (place.goesOn) yield* fastRows(editor, caseOf, keys, 30);
  } finally {
    await editor.end();
    await other.close();
  }
}

/** Keys in the rhythm of someone who types, then keys that write what is offered. */
async function* fastRows(
  editor: RecordedEditor,
  caseOf: (what: string) => string,
  keys: number,
  interval: number,
): AsyncGenerator<Row> {
  editor.asked.length = 0;
  const waiting: Promise<unknown>[] = [];
  let answered = 0;
  for (let index = 0; index < keys; index++) {
    const character = typed.charAt(index % typed.length);
    await editor.replace(0, character);
    const request = editor.timed().then(
      () => answered++,
      () => undefined,
    );
    waiting.push(request);
    // As people do, between two words and to think.
    const pause = character === ' ' ? 2 : character === '\n' || index % 20 === 19 ? 8 : 1;
    await sleep(pause * interval);
  }
  await Promise.all(waiting);
  const tokensOf = ({ prefilledTokens, generatedTokens }: Asked): number =>
    prefilledTokens + generatedTokens;
  const sum = (all: readonly Asked[]): number =>
    all.reduce((total, one) => total + tokensOf(one), 0);
  const aborted = editor.asked.filter((one) => one.aborted);
  const share = (100 * sum(aborted)) / Math.max(1, sum(editor.asked));
  const asked = (100 * editor.asked.length) / keys;
  yield rowOf({ case: caseOf('wasted'), unit: '% of tokens', better: 'lower' }, [share]);
  yield rowOf({ case: caseOf('asked'), unit: '% of keys', better: 'lower' }, [asked]);
  yield rowOf({ case: caseOf('answered'), unit: '% of keys', better: 'higher' }, [
    (100 * answered) / keys,
  ]);

  const through: number[] = [];
  for (let round = 0; round < keys && through.length < keys; round++) {
    const { text } = await editor.timed();
    for (const character of text.slice(0, -1)) {
      await editor.replace(0, character);
      through.push((await editor.timed()).ms);
    }
    await editor.replace(0, '\n');
  }
  if (through.length > 0)
    yield rowOf({ case: caseOf('type-through'), unit: 'ms', better: 'lower' }, [
      quantile(through, 0.9),
    ]);
}

/** The same keys at a model that answers more slowly than anyone types. */
async function* slowRows(keys: number, threads: number): AsyncGenerator<Row> {
  const editor = new RecordedEditor(modelFile(benchmarkModel));
  try {
    await editor.client.initialize({
      threads,
      model: { contextTokens: 4096 },
      completion: { maxTokens },
      cache: { selfCheck: false },
    });
    const text = mixedText(3000);
    await editor.open(main, text);
    editor.go(main, lineEndAt(text, 0.4));
    progress(`slow: a file of ${text.length} characters`);
    await editor.timed();
    await editor.settled(main);
    yield* fastRows(editor, (what) => `typing/slow-0.5b/${what}`, keys, keyMs);
  } finally {
    await editor.end();
  }
}

/** A recording's file, and how many of its last keys are replayed. */
function recordedPlace({ recording: file, keys = '300' }: Options['own'], modelPath: string) {
  if (file === undefined) return undefined;
  if (!/^[1-9]\d*$/.test(keys)) throw new Error('--keys takes a count');
  const name = path.basename(file).replace(/\.json(\.gz)?$/, '');
  const recording = lastKeys(readRecording(file), Number(keys));
  const work = (desk: Desk): Promise<void> => asRecorded(desk, name, recording);
  return { name: `recording/${name}`, modelPath, work, goesOn: false };
}

async function* measure({ quick, threads, selects, own }: Options): AsyncGenerator<Row> {
  const keys = quick ? 12 : 90;
  const long = modelFile(longContextModel);
  const recorded = recordedPlace(own, long);
  if (recorded !== undefined) {
    yield* sessionRows(recorded, keys, threads);
    return;
  }
  const inFile = (name: string, modelPath: string, characters: number): Place => ({
    name,
    modelPath,
    work: (desk) => madeUp(desk, characters, keys),
    goesOn: true,
  });
  const places: readonly Place[] = [
    inFile('bundled-8k', bundledModel, 18_000),
    inFile('context-16k/file=4k', long, 12_000),
    inFile('context-16k/file=14k', long, 42_000),
    ...releases().map((release) => ({
      name: `releases/${release.name}`,
      modelPath: long,
      work: (desk: Desk) => asReleased(desk, release, quick ? 1 : 3, quick ? 1 : 8),
      goesOn: false,
    })),
  ];
  for (const place of places.filter(({ name }) => selects(`typing/${name}/`)))
    yield* sessionRows(place, keys, threads);
  if (selects('typing/slow-0.5b/')) yield* slowRows(keys, threads);
}

await runBenchmark({
  name: 'typing',
  model: () => `sightline-tiny-code, ${longContextModel.name}, ${benchmarkModel.name}`,
  options: ['recording', 'keys'],
  measure,
});
