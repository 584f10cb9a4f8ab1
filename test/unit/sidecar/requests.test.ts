import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  noResult,
  type Completion,
  type CompletionRequest,
} from '../../../sidecar/completion/complete.ts';
import { CompletionRequests } from '../../../sidecar/completion/requests.ts';
import type { Outcome } from '../../../sidecar/completion/running.ts';
import { noStablePrefix } from '../../../sidecar/context/stable.ts';
import { fail, succeed } from '../../../sidecar/result.ts';
import { placeAt } from '../support/places.ts';

/** One question to the model, and the test's hands on the answer. */
interface Asked {
  readonly request: CompletionRequest;
  readonly signal: AbortSignal;
  /** All that is written so far. */
  write(text: string): void;
  finish(text: string): void;
  breakOff(): void;
}

const completionOf = (text: string): Completion => ({
  text,
  inSight: {
    uri: '',
    documentTokens: 0,
    prefixTokens: 0,
    suffixTokens: 0,
    omittedBefore: 0,
    omittedAfter: 0,
    files: [],
    leftOut: [],
  },
  shown: { start: 0, end: 0 },
  prompt: {
    uri: '',
    stable: noStablePrefix,
    prefix: new Int32Array(),
    suffix: new Int32Array(),
  },
  result: { ...noResult, text },
});

/** An editor and a model that writes what the test says. */
class Scene {
  readonly asked: Asked[] = [];
  readonly #documents = new Map<string, string>();
  readonly requests = new CompletionRequests({
    ask: (request, signal, onText) =>
      new Promise<Outcome>((resolve) => {
        signal.addEventListener('abort', () => {
          resolve(fail({ code: 'ABORTED', message: '' }));
        });
        this.asked.push({
          request,
          signal,
          write: onText,
          finish: (text) => {
            resolve(succeed(completionOf(text)));
          },
          breakOff: () => {
            resolve(fail({ code: 'OUT_OF_MEMORY', message: '' }));
          },
        });
      }),
    textOf: (uri) => this.#documents.get(uri),
  });

  /** A document as the editor has it now. */
  change(source: string, uri?: string): CompletionRequest {
    const place = placeAt(source, uri);
    this.#documents.set(place.uri, place.text);
    this.requests.documentChanged(place.uri);
    return { ...place, name: 'a.ts', maxTokens: 8 };
  }

  /** Changes the document and asks at its cursor. */
  ask(source: string, uri?: string) {
    const abort = new AbortController();
    const request = this.change(source, uri);
    const offer = this.requests.complete(request, abort.signal);
    return {
      text: offer.then((outcome) => (outcome.ok ? outcome.value.text : outcome.error.code)),
      giveUp: () => {
        abort.abort();
      },
    };
  }

  /** The question with this number, once it is asked. */
  async question(number: number): Promise<Asked> {
    for (;;) {
      const asked = this.asked[number];
      if (asked !== undefined) return asked;
      await sleep(5);
    }
  }
}

async function aborted({ signal }: Asked): Promise<void> {
  while (!signal.aborted) await sleep(5);
}

describe('CompletionRequests', () => {
  it('joins what is being written while that is what is typed', async () => {
    const scene = new Scene();
    const first = scene.ask('a = |;\n');
    const asked = await scene.question(0);
    asked.write('fir');
    const second = scene.ask('a = fi|;\n');
    first.giveUp();
    assert.equal(await first.text, 'ABORTED');
    // Faster than the model: it may still be what it writes.
    const third = scene.ask('a = first(|);\n');
    second.giveUp();
    asked.write('first');
    asked.finish('first(b)');
    assert.equal(await third.text, 'b)');
    assert.equal(scene.asked.length, 1);
    assert.equal(await scene.ask('a = first(b|);\n').text, ')');
    assert.equal(scene.asked.length, 1);
  });

  it('asks anew as soon as something else is written than was typed', async () => {
    const scene = new Scene();
    const first = scene.ask('a = |\n');
    const asked = await scene.question(0);
    first.giveUp();
    const second = scene.ask('a = fo|\n');
    asked.write('fi');
    const again = await scene.question(1);
    assert.ok(asked.signal.aborted);
    again.finish('o');
    assert.equal(await second.text, 'o');
  });

  it('asks anew where the end of the answer was not offered', async () => {
    const scene = new Scene();
    const first = scene.ask('|\n');
    const asked = await scene.question(0);
    first.giveUp();
    const joined = scene.ask('ab|\n');
    asked.write('abc');
    asked.finish('ab');
    (await scene.question(1)).finish('d');
    assert.equal(await joined.text, 'd');
  });

  it('offers nothing twice where the model offers nothing', async () => {
    const scene = new Scene();
    const first = scene.ask('a|\n');
    const second = scene.ask('a|\n');
    (await scene.question(0)).finish('');
    assert.deepEqual([await first.text, await second.text], ['', '']);
    assert.equal(scene.asked.length, 1);
  });

  it('stops the model when nothing is waited for', async () => {
    const scene = new Scene();
    scene.change('a|\n');
    const request = scene.ask('a|\n');
    const asked = await scene.question(0);
    request.giveUp();
    await aborted(asked);
    assert.equal(await request.text, 'ABORTED');
  });

  it('goes on for a while with what is being typed, and no longer', async () => {
    const scene = new Scene();
    const request = scene.ask('a|\n');
    const asked = await scene.question(0);
    scene.change('ab|\n');
    request.giveUp();
    await sleep(60);
    assert.ok(!asked.signal.aborted);
    asked.write('bc');
    scene.change('abx|\n');
    await aborted(asked);

    const patient = scene.ask('c|\n');
    const left = await scene.question(1);
    scene.change('cd|\n');
    patient.giveUp();
    await aborted(left);
  });

  it('lets nothing that nobody waits for be in the way of another document', async () => {
    const scene = new Scene();
    const request = scene.ask('a|\n');
    const asked = await scene.question(0);
    scene.change('ab|\n');
    request.giveUp();
    await request.text;
    const other = scene.ask('x|\n', 'file:///b.ts');
    const question = await scene.question(1);
    assert.ok(asked.signal.aborted);
    question.finish('y');
    assert.equal(await other.text, 'y');
  });

  it('tells everyone who waits of a failure', async () => {
    const scene = new Scene();
    const requests = [scene.ask('a|\n'), scene.ask('a|\n')];
    (await scene.question(0)).breakOff();
    for (const { text } of requests) assert.equal(await text, 'OUT_OF_MEMORY');
    const next = scene.ask('a|\n');
    (await scene.question(1)).finish('b');
    assert.equal(await next.text, 'b');
  });

  it('asks a model that is slower than the typing only once that pauses', async () => {
    const scene = new Scene();
    const first = scene.ask('a|\n');
    const asked = await scene.question(0);
    await sleep(100);
    asked.finish('');
    await first.text;
    for (const source of ['ab|\n', 'abc|\n', 'abcd|\n', 'abcde|\n']) {
      scene.change(source);
      await sleep(10);
    }
    const early = scene.ask('abcdef|\n');
    early.giveUp();
    assert.equal(await early.text, 'ABORTED');
    assert.equal(scene.asked.length, 1);
    const patient = scene.ask('abcdefg|\n');
    (await scene.question(1)).finish('h');
    assert.equal(await patient.text, 'h');
  });

  it('prepares what follows an offer while that is looked at', async () => {
    const scene = new Scene();
    const request = scene.ask('a = |\n');
    (await scene.question(0)).finish('first');
    assert.equal(await request.text, 'first');
    const ahead = await scene.question(1);
    assert.deepEqual([ahead.request.text, ahead.request.offset], ['a = first\n', 9]);
    // Accepted while it is written, and after.
    const next = scene.ask('a = first|\n');
    ahead.finish('(b)');
    assert.equal(await next.text, '(b)');
    (await scene.question(2)).finish(';');
    await sleep(0);
    assert.equal(await scene.ask('a = first(b)|\n').text, ';');
    assert.equal(scene.asked.length, 3);
  });

  it('gives up what it prepares when something else is typed', async () => {
    const scene = new Scene();
    const request = scene.ask('a = |\n');
    (await scene.question(0)).finish('first');
    await request.text;
    const ahead = await scene.question(1);
    await sleep(60);
    assert.ok(!ahead.signal.aborted);
    scene.change('a = x|\n');
    await aborted(ahead);
  });

  it('offers nothing in the middle of a word, unless asked', async () => {
    const scene = new Scene();
    assert.equal(await scene.ask('a = na|me;\n').text, '');
    assert.equal(scene.asked.length, 0);
    const request = scene.change('a = na|me;\n');
    const asked = scene.requests.candidates(request, new AbortController().signal);
    for (const [number, text] of ['n', 'n', 'tional'].entries())
      (await scene.question(number)).finish(text);
    const outcome = await asked;
    assert.deepEqual(outcome.ok && outcome.value.map(({ text }) => text), ['n', 'tional']);
  });

  it('gives several candidates to a user who asks, the likeliest first, and goes on with any', async () => {
    const scene = new Scene();
    const first = scene.ask('a = |\n');
    (await scene.question(0)).finish('one');
    assert.equal(await first.text, 'one');
    const request = scene.change('a = |\n');
    const asked = scene.requests.candidates(request, new AbortController().signal);
    for (const [index, text] of ['one', 'two', 'three'].entries())
      (await scene.question(index + 1)).finish(text);
    const outcome = await asked;
    assert.deepEqual(outcome.ok && outcome.value.map(({ text }) => text), ['one', 'two', 'three']);
    assert.deepEqual(
      scene.asked.slice(1).map((one) => one.request.sampling?.temperature),
      [0, 0.8, 0.8],
    );
    assert.equal(await scene.ask('a = |\n').text, 'one');
    assert.equal(await scene.ask('a = th|\n').text, 'ree');
    assert.equal(scene.asked.length, 4);

    const abort = new AbortController();
    const stopped = scene.requests.candidates(scene.change('b|\n'), abort.signal);
    const question = await scene.question(4);
    abort.abort();
    const none = await stopped;
    assert.ok(!none.ok);
    await aborted(question);
  });

  it('forgets what another model offered', async () => {
    const scene = new Scene();
    const request = scene.ask('a|\n');
    (await scene.question(0)).finish('b');
    assert.equal(await request.text, 'b');
    const ahead = await scene.question(1);
    scene.requests.clear();
    assert.ok(ahead.signal.aborted);
    const again = scene.ask('a|\n');
    (await scene.question(2)).finish('c');
    assert.equal(await again.text, 'c');
    scene.requests.stop();
  });
});
