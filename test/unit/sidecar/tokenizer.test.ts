import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { cutAtLines, Tokenizer } from '../../../sidecar/engine/tokenizer.ts';
import { FakeAddon, FakeEngine, loadFake, type FakeOptions } from '../support/fakeAddon.ts';

const source = Array.from({ length: 400 }, (_, i) => `const value${i} = ${i};\n\n  // note\n`).join(
  '',
);

const engine = (options: FakeOptions = {}): FakeEngine =>
  new FakeEngine(new FakeAddon(options), {
    modelPath: '',
    librariesPath: '',
    contextTokens: 0,
    threads: 0,
    cacheBudgetBytes: 0,
    cache: { policy: 'full' },
    selfCheck: false,
  });

describe('Tokenizer', () => {
  it('cuts only before lines that start with something', () => {
    const pieces = cutAtLines(source);
    assert.ok(pieces.length > 10);
    assert.equal(pieces.join(''), source);
    for (const piece of pieces.slice(1)) assert.match(piece, /^\S/);
    for (const piece of pieces.slice(0, -1)) assert.match(piece, /\n$/);
    assert.deepEqual(cutAtLines(''), []);
    assert.deepEqual(cutAtLines('x'.repeat(5000)), ['x'.repeat(5000)]);
  });

  it('gives the tokens of the whole text', async () => {
    const native = engine();
    const tokenizer = await Tokenizer.create(native);
    assert.deepEqual(await tokenizer.tokenize(source), await native.tokenize(source, false));
    assert.deepEqual(await tokenizer.tokenize(''), new Int32Array());
  });

  it('tokenises one piece again after a keystroke', async () => {
    const native = engine();
    const tokenizer = await Tokenizer.create(native);
    await tokenizer.tokenize(source);
    native.tokenized.length = 0;
    await tokenizer.tokenize(`${source}x`);
    assert.equal(native.tokenized.length, 1);
    assert.ok((native.tokenized[0]?.length ?? 0) < 1200);
  });

  it('leaves a text whole where pieces do not add up', async () => {
    const native = engine({ spaceBefore: true });
    const tokenizer = await Tokenizer.create(native);
    assert.deepEqual(await tokenizer.tokenize(source), await native.tokenize(source, false));
  });

  it('takes the parts of a character off at a cut, and nothing else', async () => {
    const { model } = await loadFake();
    const { tokenizer } = model;
    const tokens = await tokenizer.tokenize('a中😀b\uFFFD');
    const cut = async (from: number, to: number, start: boolean, end: boolean): Promise<string> => {
      const whole = await tokenizer.wholeCharacters(tokens.subarray(from, to), { start, end });
      return model.native.detokenize(whole);
    };
    assert.equal(await cut(0, tokens.length, false, false), 'a中😀b\uFFFD');
    assert.equal(await cut(2, 9, true, false), '😀b');
    assert.equal(await cut(3, 9, true, false), '😀b');
    assert.equal(await cut(5, 9, true, false), 'b');
    assert.equal(await cut(0, 7, false, true), 'a中');
    assert.equal(await cut(0, 5, false, true), 'a中');
    assert.equal(await cut(2, 7, true, true), '');
    assert.equal(await cut(1, 8, true, true), '中😀');
  });
});
