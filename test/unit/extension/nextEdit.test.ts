import assert from 'node:assert/strict';
import { after, before, describe, it, mock } from 'node:test';
import type { CancellationToken } from 'vscode-jsonrpc';
import {
  NextEditController,
  type Here,
  type Surface,
} from '../../../extension/nextEdit/controller.ts';
import { describeNextEdit, hintOf } from '../../../extension/nextEdit/sentences.ts';
import type { NextEdit } from '../../../sidecar/protocol.ts';

const rename = (line: number, to = 'total'): NextEdit => ({
  range: { start: { line, character: 4 }, end: { line, character: 9 } },
  newText: to,
  why: { kind: 'rename', from: 'count', to },
});

const settleMs = 300;

interface Asked {
  readonly here: Here;
  readonly token: CancellationToken;
  readonly answer: (edit: NextEdit | null) => void;
  readonly fail: () => void;
}

/** An editor of 50 lines in view, and a sidecar that answers what the test says. */
class Scene implements Surface {
  readonly asked: Asked[] = [];
  readonly applied: NextEdit[] = [];
  readonly revealed: NextEdit[] = [];
  readonly controller = new NextEditController(this, settleMs);
  shown: NextEdit | undefined;
  place: Here | undefined = { uri: 'file:///a.ts', version: 1, line: 0, character: 9 };
  firstLine = 0;
  isSuggested = false;
  canEdit = true;

  here(): Here | undefined {
    return this.place;
  }

  isSuggesting(): boolean {
    return this.isSuggested;
  }

  ask(here: Here, token: CancellationToken): Promise<NextEdit | null> {
    return new Promise((resolve, reject) => {
      const fail = (): void => {
        reject(new Error('the sidecar is gone'));
      };
      this.asked.push({ here, token, answer: resolve, fail });
    });
  }

  show(edit: NextEdit | undefined): void {
    this.shown = edit;
  }

  isInView({ range }: NextEdit): boolean {
    return range.start.line >= this.firstLine && range.start.line < this.firstLine + 50;
  }

  reveal(edit: NextEdit): void {
    this.revealed.push(edit);
    this.firstLine = edit.range.start.line - 25;
  }

  apply(edit: NextEdit): Promise<boolean> {
    if (this.canEdit) {
      this.applied.push(edit);
      // As the editor tells of it.
      this.type();
      this.controller.moved();
    }
    return Promise.resolve(this.canEdit);
  }

  /** The document is another version now. */
  type(takesBack = false): void {
    if (this.place !== undefined) this.place = { ...this.place, version: this.place.version + 1 };
    this.controller.edited(takesBack);
  }

  /** The question with this number. */
  async question(number: number): Promise<Asked> {
    await pause();
    const asked = this.asked[number];
    assert.ok(asked !== undefined);
    return asked;
  }

  /** What is asked with this number is answered, and has had its effect. */
  async answer(number: number, edit: NextEdit | null): Promise<void> {
    (await this.question(number)).answer(edit);
    await settled();
  }
}

/** All that follows from what has happened, but for timers. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Nothing happens for longer than the controller waits. */
async function pause(): Promise<void> {
  mock.timers.tick(2 * settleMs);
  await settled();
}

describe('NextEditController', () => {
  before(() => {
    mock.timers.enable({ apis: ['setTimeout'] });
  });
  after(() => {
    mock.timers.reset();
  });

  it('asks once the user has paused, and shows what there is', async () => {
    const scene = new Scene();
    for (let i = 0; i < 3; i++) scene.type();
    const { here } = await scene.question(0);
    assert.deepEqual(here, { uri: 'file:///a.ts', version: 4, line: 0, character: 9 });
    await scene.answer(0, rename(3));
    assert.deepEqual(scene.shown, rename(3));
    assert.deepEqual(scene.controller.offer, rename(3));
    assert.equal(scene.asked.length, 1);
  });

  it('accepts one after the other, until none is left', async () => {
    const scene = new Scene();
    scene.type();
    await scene.answer(0, rename(3));
    const first = scene.controller.accept();
    assert.equal(scene.shown, undefined);
    await scene.answer(1, rename(5));
    await first;
    assert.equal((await scene.question(1)).here.version, 3);
    assert.deepEqual(scene.shown, rename(5));
    const second = scene.controller.accept();
    await scene.answer(2, null);
    await second;
    assert.equal(scene.shown, undefined);
    assert.deepEqual(scene.applied, [rename(3), rename(5)]);
    await pause();
    assert.equal(scene.asked.length, 3);
  });

  it('goes to a place that is out of view first', async () => {
    const scene = new Scene();
    scene.type();
    await scene.answer(0, rename(120));
    await scene.controller.accept();
    assert.deepEqual([scene.revealed, scene.applied], [[rename(120)], []]);
    scene.controller.moved();
    assert.deepEqual(scene.shown, rename(120));
    const accepted = scene.controller.accept();
    await scene.answer(1, null);
    await accepted;
    assert.deepEqual(scene.applied, [rename(120)]);
  });

  it('offers no more for a change once that was dismissed', async () => {
    const scene = new Scene();
    scene.type();
    await scene.answer(0, rename(3));
    scene.controller.dismiss();
    assert.equal(scene.shown, undefined);
    await scene.controller.accept();
    assert.deepEqual(scene.applied, []);
    scene.type();
    await scene.answer(1, rename(3));
    assert.equal(scene.shown, undefined);
    scene.type();
    await scene.answer(2, rename(3, 'totals'));
    assert.deepEqual(scene.shown, rename(3, 'totals'));
    scene.type();
    await scene.answer(3, rename(3));
    assert.deepEqual(scene.shown, rename(3), 'another change was between them');
  });

  it('withdraws an offer with any edit, and with its document', async () => {
    const scene = new Scene();
    scene.type();
    await scene.answer(0, rename(3));
    scene.type();
    assert.equal(scene.shown, undefined);
    await scene.answer(1, rename(4));
    scene.controller.leave();
    assert.equal(scene.shown, undefined);
    scene.controller.moved();
    await pause();
    assert.equal(scene.asked.length, 2);
  });

  it('asks nothing behind an edit that was taken back', async () => {
    const scene = new Scene();
    scene.type();
    await scene.answer(0, rename(3));
    scene.type(true);
    assert.equal(scene.shown, undefined);
    await pause();
    assert.equal(scene.asked.length, 1);
  });

  it('takes no answer that was overtaken', async () => {
    const scene = new Scene();
    scene.type();
    const { token } = await scene.question(0);
    scene.type();
    assert.equal(token.isCancellationRequested, true);
    await scene.answer(0, rename(3));
    assert.equal(scene.shown, undefined);
    await scene.question(1);
    // The document is another one before that is told of.
    scene.place = { uri: 'file:///a.ts', version: 9, line: 0, character: 0 };
    await scene.answer(1, rename(3));
    assert.equal(scene.shown, undefined);
  });

  it('leaves inline suggestions the first place', async () => {
    const scene = new Scene();
    scene.isSuggested = true;
    scene.type();
    await pause();
    assert.equal(scene.asked.length, 0);
    scene.isSuggested = false;
    scene.controller.moved();
    await scene.question(0);
    scene.isSuggested = true;
    await scene.answer(0, rename(3));
    assert.equal(scene.shown, undefined);
    scene.isSuggested = false;
    scene.controller.moved();
    await scene.answer(1, rename(3));
    assert.deepEqual(scene.shown, rename(3));
    scene.isSuggested = true;
    scene.controller.suggested();
    assert.equal(scene.shown, undefined);
    scene.isSuggested = false;
    scene.controller.moved();
    await scene.answer(2, rename(3));
    assert.deepEqual(scene.shown, rename(3));
  });

  it('asks nothing where none is wanted', async () => {
    const scene = new Scene();
    scene.place = undefined;
    scene.type();
    await pause();
    assert.equal(scene.asked.length, 0);
  });

  it('offers nothing where the sidecar fails, and goes on', async () => {
    const scene = new Scene();
    scene.type();
    (await scene.question(0)).fail();
    await settled();
    assert.equal(scene.shown, undefined);
    scene.type();
    await scene.answer(1, rename(3));
    assert.deepEqual(scene.shown, rename(3));
  });

  it('ends where the document cannot be edited', async () => {
    const scene = new Scene();
    scene.canEdit = false;
    scene.type();
    await scene.answer(0, rename(3));
    await scene.controller.accept();
    assert.equal(scene.shown, undefined);
    await pause();
    assert.equal(scene.asked.length, 1);
  });
});

describe('what is said of a next edit', () => {
  it('says where it is and why', () => {
    assert.equal(hintOf(rename(119)), 'Tab: line 120');
    assert.equal(describeNextEdit(rename(119)), 'Next edit, line 120: count is called total now.');
    const { range } = rename(2);
    assert.equal(
      describeNextEdit({ range, newText: '1, 2', why: { kind: 'signature', function: 'f' } }),
      'Next edit, line 3: f takes other arguments now: 1, 2.',
    );
  });
});
