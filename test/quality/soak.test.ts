/**
 * Ten thousand random edits of several documents, with completions in between: what the cache holds is what a prompt
 * written from scratch would put there, and nothing grows.
 */
import { strict as assert } from 'node:assert';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CompleteRequest, CompleteResult, NativeEngine } from '../../sidecar/engine/addon.ts';
import { loadAddon } from '../../sidecar/engine/load.ts';
import { succeed } from '../../sidecar/result.ts';
import { mixedText } from '../fixtures/corpus.ts';
import { bundledModel } from '../fixtures/models/generate.ts';
import { uniformStream } from '../../sidecar/evaluation/random.ts';
import { Editor } from '../unit/support/editor.ts';
import { serveInProcess } from '../unit/support/inProcess.ts';
import { withComplete } from '../unit/support/watched.ts';
import { selective, withEngine } from './support/engine.ts';

const edits = 10_000;
/** Edits for one completion, one comparison with another engine, and one look at the whole context. */
const every = { completion: 20, comparison: 500, look: 1000 } as const;
const maxTokens = 6;
const idleMs = 5;

interface Run {
  readonly request: CompleteRequest;
  readonly result: CompleteResult;
}

/** The addon, with its engine at hand and the latest run of each kind. */
function watched() {
  const loaded = loadAddon();
  assert.ok(loaded.ok);
  const seen: { native?: NativeEngine; filled?: Int32Array; latest?: Run; runs: number } = {
    runs: 0,
  };
  const addon = withComplete(loaded.value, (native, request, onEvent) => {
    seen.native = native;
    const job = native.complete(request, onEvent);
    const result = job.result.then((done) => {
      if (request.maxTokens === 0) {
        seen.filled = request.tokens;
      } else {
        seen.latest = { request, result: done };
        seen.runs++;
      }
      return done;
    });
    return { result, abort: job.abort.bind(job), finish: job.finish.bind(job) };
  });
  return { seen, addon };
}

/**
 * What was written behind a cache that grew bit by bit is what is written from scratch, unless two tokens are as likely: sums
 * of batches of other sizes are rounded otherwise, which moves logits by some hundredths.
 */
async function sameTokens(
  scratch: NativeEngine,
  { request, result }: Run,
  expected: Int32Array,
): Promise<void> {
  // It may have been ended early.
  const at = result.tokens.findIndex((token, index) => token !== expected[index]);
  if (at < 0) return;
  const [written, other] = [result.tokens[at], expected[at]];
  assert.ok(written !== undefined && other !== undefined, 'more tokens than from scratch');
  const before = Int32Array.from([...request.tokens, ...expected.subarray(0, at)]);
  const held = await scratch.truncate(before.length - 1);
  const logits = await scratch.evaluate(before.subarray(held), 'last').result;
  const lacking = (logits[other] ?? Infinity) - (logits[written] ?? -Infinity);
  assert.ok(lacking < 0.1, `token ${at} is ${written}, from scratch ${other}, by ${lacking}`);
}

/** As a model is shown a text: line ends alone, and no halves of characters. */
const shown = (text: string): string => Buffer.from(text.replaceAll('\r\n', '\n')).toString();

const pieces = [
  'a',
  'x1',
  ' ',
  '\n',
  '\r\n',
  '(',
  ')',
  '{',
  '}',
  '"',
  ';',
  '😀',
  'é',
  '\t',
  'value',
];

describe('a long day', () => {
  it(`of ${edits} edits leaves the cache as a prompt from scratch would`, async () => {
    const next = uniformStream('soak');
    const pick = <T>(all: readonly [T, ...T[]] | readonly T[]): T => {
      const one = all[Math.floor(next() * all.length)];
      assert.ok(one !== undefined);
      return one;
    };
    const { seen, addon } = watched();
    const { client, close } = serveInProcess({
      bundledModel,
      loadAddon: () => succeed(addon),
      idleMs,
    });
    const settings = { threads: 1, completion: { maxTokens }, cache: { selfCheck: false } };
    await client.initialize(settings);
    const editor = new Editor(client);
    const uris = ['a.ts', 'b.js', 'c.h', 'd.ts'].map((name) => `file:///${name}`);
    for (const [index, uri] of uris.entries())
      await editor.open(uri, mixedText(2500, 2500 * index));
    editor.go(pick(uris), 0);

    /** One edit, or going somewhere else. */
    const edit = async (): Promise<void> => {
      const kind = next();
      if (kind < 0.6) await editor.replace(0, pick(pieces));
      else if (kind < 0.8) await editor.replace(Math.min(editor.offset, Math.ceil(next() * 4)), '');
      else if (kind < 0.85) {
        const start = Math.floor(next() * editor.text.length);
        const text = editor.text.slice(start, start + 200);
        await editor.replace(0, text);
        if (next() < 0.7) await editor.replace(text.length, '');
      } else if (kind < 0.97) editor.go(editor.uri, Math.floor(next() * (editor.text.length + 1)));
      else if (kind < 0.995) {
        const uri = pick(uris);
        editor.go(uri, Math.floor(next() * (editor.textOf(uri).length + 1)));
      } else {
        // Pasting makes documents grow: another one takes its place.
        const uri = pick(uris);
        await editor.close(uri);
        await editor.open(uri, mixedText(2500, Math.floor(next() * 20_000)));
        editor.go(uri, 0);
      }
    };

    /** What a completion was asked with is what is around the cursor. */
    const checkLines = async (native: NativeEngine, { tokens }: CompleteRequest): Promise<void> => {
      const { fim } = native.info;
      const middle = tokens.lastIndexOf(fim.middle);
      const before = await native.detokenize(tokens.subarray(middle + 1));
      const after = await native.detokenize(
        tokens.subarray(tokens.lastIndexOf(fim.suffix) + 1, middle),
      );
      const { text } = editor;
      // Not inside of a character.
      const inside = /^[\uD800-\uDBFF][\uDC00-\uDFFF]$/;
      const { offset } = editor;
      const cursor = inside.test(text.slice(offset - 1, offset + 1)) ? offset - 1 : offset;
      const start = shown(text.slice(0, cursor)).replace(/ $/, '');
      assert.equal(start.slice(-before.length + 8), before.slice(8));
      assert.equal(
        shown(text.slice(cursor)).slice(0, Math.max(0, after.length - 8)),
        after.slice(0, -8),
      );
    };

    /** Once nothing more happens, every document but the one in use is in the cache as it is. */
    const checkContext = async (native: NativeEngine): Promise<void> => {
      const others = uris.filter((uri) => uri !== editor.uri);
      for (;;) {
        const context = await native.detokenize(seen.filled ?? new Int32Array());
        if (others.every((uri) => context.includes(shown(editor.textOf(uri))))) return;
        await sleep(idleMs);
      }
    };

    let compared = 0;
    let reserved = 0;
    await withEngine(bundledModel, selective, async (scratch) => {
      for (let i = 1; i <= edits; i++) {
        await edit();
        if (i % every.completion !== 0) continue;
        const runs = seen.runs;
        await editor.ask();
        const { native, latest } = seen;
        assert.ok(native !== undefined);
        const { tokens, contextTokens, reservedBytes } = native.stats();
        assert.ok(tokens <= contextTokens);
        if (i <= edits / 4) reserved = Math.max(reserved, reservedBytes);
        if (i % every.look === 0) await checkContext(native);
        if (seen.runs === runs || latest === undefined) continue;
        if (i % every.look !== 0) await checkLines(native, latest.request);
        if (i < (compared + 1) * every.comparison) continue;
        compared++;
        await scratch.truncate(0);
        const again = await scratch.complete(latest.request, () => undefined).result;
        assert.equal(again.reusedTokens, 0);
        await sameTokens(scratch, latest, again.tokens);
      }
      assert.ok(compared >= edits / every.comparison / 2, String(compared));
      assert.ok((seen.native?.stats().reservedBytes ?? Infinity) <= 1.5 * reserved);
    });
    await close();
  });
});
