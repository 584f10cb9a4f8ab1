import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { complete, type Completion } from '../../../sidecar/completion/complete.ts';
import type { LoadedModel } from '../../../sidecar/engine/engine.ts';
import { Grammars } from '../../../sidecar/syntax/parser.ts';
import { FakeError, loadFake, markers, noMarkers, type FakeEngine } from '../support/fakeAddon.ts';
import { placeAt } from '../support/places.ts';

const never = new AbortController().signal;

/** `|` in `source` is the cursor. */
async function completeAt(model: LoadedModel, source: string, maxTokens = 64): Promise<Completion> {
  const request = { ...placeAt(source), name: 'a.ts', maxTokens };
  const outcome = await complete(model, request, never);
  assert.ok(outcome.ok);
  return outcome.value;
}

/** The latest prompt with markers by name. */
function prompt(native: FakeEngine): string {
  const names = new Map<number, string>(
    Object.entries(markers).map(([name, token]) => [token, `<${name}>`]),
  );
  const tokens = native.requests.at(-1)?.tokens ?? [];
  return Array.from(tokens, (token) => names.get(token) ?? String.fromCharCode(token)).join('');
}

describe('complete', () => {
  it('asks with the name, prefix, suffix and middle, and stops at every marker', async () => {
    const { model, native } = await loadFake();
    const { inSight } = await completeAt(model, 'let a = |;\nb\n');
    assert.equal(prompt(native), '<separator>a.ts\n<prefix>let a =<suffix>;\nb\n<middle>');
    assert.deepEqual([...(native.requests[0]?.stopTokens ?? [])], Object.values(markers));
    assert.equal(native.requests[0]?.sampling.temperature, 0);
    assert.deepEqual(inSight, {
      uri: 'file:///a.ts',
      // But for the space before the cursor.
      documentTokens: 11,
      prefixTokens: 7,
      suffixTokens: 4,
      omittedBefore: 0,
      omittedAfter: 0,
      files: [],
      leftOut: [],
    });
  });

  it('leaves the space before the cursor to the model, which has it in front of a word', async () => {
    const { model, native } = await loadFake({ answer: [' value;'] });
    assert.equal((await completeAt(model, 'let a = |\n')).text, 'value;');
    assert.equal((await completeAt(model, 'let a =|\n')).text, ' value;');
    assert.equal((await completeAt(model, '  |\n')).text, 'value;');
    assert.equal(prompt(native), '<separator>a.ts\n<prefix> <suffix>\n<middle>');
    const bare = await loadFake({ answer: ['value;'] });
    assert.equal((await completeAt(bare.model, 'let a = |\n')).text, 'value;');
  });

  it('puts the suffix first for a model that fills in better that way', async () => {
    const { model, native } = await loadFake({ info: { name: 'sightline-tiny-code' } });
    await completeAt(model, 'let a = |;\n');
    assert.equal(prompt(native), '<separator>a.ts\n<prefix><suffix>;\n<middle>let a =');
  });

  it('starts with the token that texts start with, where the model wants it', async () => {
    const { model, native } = await loadFake({
      info: { bos: 7, addBos: true, fim: { ...markers, separator: -1 } },
    });
    await completeAt(model, 'a|b');
    assert.equal(prompt(native), '\x07<prefix>a<suffix>b<middle>');
    assert.ok(!native.requests[0]?.stopTokens.includes(-1));
  });

  it('continues the prefix where the model has no markers, and counts the suffix as left out', async () => {
    const { model, native } = await loadFake({ info: { fim: noMarkers } });
    const { inSight } = await completeAt(model, 'abc|def');
    assert.equal(prompt(native), 'abc');
    assert.equal(inSight.suffixTokens, 0);
    assert.equal(inSight.omittedAfter, 3);
    assert.equal(inSight.documentTokens, 6);
  });

  it('offers nothing, without asking, where there is no prompt at all', async () => {
    const { model, native } = await loadFake({ info: { fim: noMarkers } });
    assert.equal((await completeAt(model, '|')).text, '');
    assert.equal(native.requests.length, 0);
  });

  it('completes an empty document from its name', async () => {
    const { model, native } = await loadFake();
    assert.equal((await completeAt(model, '|')).text, 'answer');
    assert.equal(prompt(native), '<separator>a.ts\n<prefix><suffix><middle>');
  });

  it('keeps what is nearest the cursor, fits the context, and counts the rest', async () => {
    const { model, native } = await loadFake({}, 1000);
    const { inSight } = await completeAt(model, `${'p'.repeat(3000)}|${'s'.repeat(2000)}`);
    const tokens = native.requests[0]?.tokens.length ?? 0;
    assert.ok(tokens <= 1000 - 64 && tokens > 1000 - 64 - 200, String(tokens));
    assert.equal(inSight.documentTokens, 5000);
    assert.equal(inSight.prefixTokens + inSight.omittedBefore, 3000);
    assert.equal(inSight.suffixTokens + inSight.omittedAfter, 2000);
    assert.equal(inSight.suffixTokens, Math.floor((1000 - 64 - 9) / 4));
  });

  it('reuses the cached prefix while typing in a file that does not fit', async () => {
    const { model, native } = await loadFake({}, 1000);
    const typed = 'const typed = 1;';
    let reusedWhole = 0;
    for (let length = 0; length <= typed.length; length++) {
      const source = `${'line\n'.repeat(800)}${typed.slice(0, length)}|\nrest\n`;
      const { result, inSight } = await completeAt(model, source);
      if (result.reusedTokens >= inSight.prefixTokens - 1) reusedWhole++;
    }
    assert.equal(native.requests.length, typed.length + 1);
    // All but the first, and at most one where the start moved.
    assert.ok(reusedWhole >= typed.length - 1, String(reusedWhole));
  });

  it('evaluates what is typed and nothing else, wherever in a file that is', async () => {
    const { model } = await loadFake({ info: { name: 'sightline-tiny-code' } });
    for (const [before, after] of [
      [400, 400],
      [400, 20],
      [20, 400],
    ] as const) {
      let text = 'one line\n'.repeat(before);
      const rest = 'another line\n'.repeat(after);
      let liveStart: number | undefined;
      const prefilled: number[] = [];
      for (let typed = 0; typed < 120; typed++) {
        const outcome = await complete(
          model,
          {
            ...{ uri: 'file:///a.ts', name: 'a.ts', text: text + rest, offset: text.length },
            ...{ maxTokens: 8, liveTokens: 512 },
            ...(liveStart === undefined ? {} : { liveStart }),
          },
          never,
        );
        assert.ok(outcome.ok);
        const { result, shown, prompt } = outcome.value;
        assert.ok(prompt.prefix.length + prompt.suffix.length <= 512);
        assert.equal(shown.end - shown.start, prompt.prefix.length + prompt.suffix.length);
        liveStart = shown.start;
        prefilled.push(result.prefilledTokens);
        text += typed % 40 === 39 ? '\n' : 'x';
      }
      const more = prefilled.slice(1).filter((tokens) => tokens > 1);
      assert.ok(more.length <= 2, `${before}/${after}: ${more.join(' ')}`);
    }
  });

  it('looks at a bounded part of a huge document and estimates the rest', async () => {
    const { model, native } = await loadFake({}, 1000);
    native.tokenized.length = 0;
    const side = 'some code here;\n'.repeat(1_500_000);
    const { inSight } = await completeAt(model, `${side}|${side}`);
    const looked = native.tokenized.reduce((sum, text) => sum + text.length, 0);
    assert.ok(looked < 30_000, String(looked));
    assert.equal(inSight.documentTokens, 2 * side.length);
    assert.equal(
      inSight.prefixTokens + inSight.suffixTokens + inSight.omittedBefore + inSight.omittedAfter,
      inSight.documentTokens,
    );
  });

  it('never takes the whole context for the answer', async () => {
    const { model, native } = await loadFake({}, 64);
    await completeAt(model, `${'p'.repeat(100)}|`, 1024);
    const request = native.requests[0];
    assert.equal(request?.maxTokens, 32);
    assert.ok(request.tokens.length <= 32);
  });

  it('shows the model LF and answers a CRLF document in CRLF', async () => {
    const { model, native } = await loadFake({ answer: ['x\n', 'y'] });
    const { text } = await completeAt(model, 'a\r\n|\r\nb');
    assert.equal(prompt(native), '<separator>a.ts\n<prefix>a\n<suffix>\nb<middle>');
    assert.equal(text, 'x\r\ny');
  });

  it('survives emoji, lone surrogates and replacement characters', async () => {
    const { model } = await loadFake();
    for (const source of ['"😀|"', '\uD83D|\uDE00', '\uFFFD|\uD800']) {
      assert.equal((await completeAt(model, source)).text, 'answer');
    }
  });

  it('drops what the line already holds', async () => {
    const { model } = await loadFake({ answer: ['bar', ')', '\n\n'] });
    assert.equal((await completeAt(model, 'foo(|)\n')).text, 'bar');
  });

  it('ends where the syntax says, for a user who asks for it anywhere', async () => {
    const { model } = await loadFake({ answer: ['b, {\n  c,\n}', ');\nd();'] });
    const folder = new URL('../../../node_modules/@vscode/tree-sitter-wasm/wasm', import.meta.url);
    const grammars = new Grammars(fileURLToPath(folder), (message) => {
      throw new Error(message);
    });
    const textAt = async (anywhere: boolean): Promise<string> => {
      const request = { uri: 'file:///a.ts', name: 'a.ts', text: 'a(\nd();\n', offset: 2 };
      const options = { maxTokens: 64, anywhere, grammars };
      const outcome = await complete(model, { ...request, ...options }, never);
      assert.ok(outcome.ok);
      return outcome.value.text;
    };
    assert.equal(await textAt(false), 'b, {');
    assert.equal(await textAt(true), 'b, {\n  c,\n});');
  });

  it('stops the engine once nothing more would be offered', async () => {
    const { model } = await loadFake({ answer: [' a', '\n', ' b', '\n', 'c'] });
    const line = await completeAt(model, 'let x =| + 1;\n');
    assert.deepEqual([line.text, line.result.text, line.result.finish], [' a', ' a\n', 'stopped']);
    // Several lines may be meant here, and no grammar says where they end.
    const lines = await completeAt(model, 'let x =|\n');
    assert.deepEqual([lines.result.text, lines.result.finish], [' a\n b\nc', 'end']);
  });

  it('refuses a binary document', async () => {
    const { model, native } = await loadFake();
    const request = { uri: 'file:///a', name: 'a', text: 'a\0b', offset: 1, maxTokens: 1 };
    const outcome = await complete(model, request, never);
    assert.ok(!outcome.ok);
    assert.equal(outcome.error.code, 'DOCUMENT_BINARY');
    assert.match(outcome.error.message, /^a holds NUL/);
    assert.equal(native.requests.length, 0);
  });

  it('gives the engine failure as data', async () => {
    const { model } = await loadFake({ completeError: new FakeError('CACHE_EXHAUSTED', 'full') });
    const request = { uri: 'file:///a', name: 'a', text: 'a', offset: 1, maxTokens: 1 };
    const outcome = await complete(model, request, never);
    assert.ok(!outcome.ok);
    assert.deepEqual(outcome.error, { code: 'CACHE_EXHAUSTED', message: 'full' });
  });

  it('aborts the job with its signal', async () => {
    const { model, native } = await loadFake({
      answerGate: { opened: new Promise(() => undefined), open: () => undefined },
    });
    const abort = new AbortController();
    const request = { uri: 'file:///a', name: 'a', text: 'a', offset: 1, maxTokens: 1 };
    const outcome = await complete(model, request, abort.signal, (event) => {
      if (event.kind === 'text') abort.abort();
    });
    assert.ok(!outcome.ok);
    assert.equal(outcome.error.code, 'ABORTED');
    assert.equal(native.aborted, 1);
  });
});
