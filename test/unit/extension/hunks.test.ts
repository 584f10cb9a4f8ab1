import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { TextDocument } from 'vscode-languageserver-textdocument';
import {
  applyHunks,
  editOf,
  hunksBetween,
  joinedHunks,
  linesOf,
  placesIn,
} from '../../../extension/proposals/hunks.ts';
import { Proposal } from '../../../extension/proposals/proposal.ts';

/** The same numbers in [0, below) for the same seed. */
function numbers(seed: number): (below: number) => number {
  let state = seed + 1;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Few different lines, so that they repeat and can be matched in several ways. */
const randomLines = (next: (below: number) => number): string[] =>
  Array.from({ length: next(14) }, () => ['', '}', 'a', 'b', 'c', '  d'][next(6)] ?? '');

const mutated = (lines: readonly string[], next: (below: number) => number): string[] => {
  const copy = [...lines];
  for (let edits = next(5); edits > 0; edits--) {
    copy.splice(next(copy.length + 1), next(3), ...randomLines(next).slice(0, next(3)));
  }
  return copy;
};

/** Makes the edit of a hunk as an editor does. */
function edited(document: TextDocument, edits: readonly ReturnType<typeof editOf>[]): string {
  const changes = edits.map(({ start, end, text }) => ({ range: { start, end }, newText: text }));
  return TextDocument.applyEdits(document, changes);
}

const documentOf = (text: string): TextDocument => TextDocument.create('a:b', '', 1, text);

describe('hunks', () => {
  it('make the later text of the earlier one, and are apart', () => {
    for (let seed = 0; seed < 2000; seed++) {
      const next = numbers(seed);
      const before = randomLines(next);
      const after = mutated(before, next);
      const hunks = hunksBetween(before, after);
      assert.deepEqual(applyHunks(before, hunks), after);
      for (const [index, { start, removed, added }] of hunks.entries()) {
        assert.deepEqual(before.slice(start, start + removed.length), removed);
        assert.ok(removed.length + added.length > 0);
        const following = hunks[index + 1];
        if (following) assert.ok(following.start > start + removed.length);
      }
    }
  });

  it('are joined over blank lines and brackets, and make the same text', () => {
    for (let seed = 0; seed < 1000; seed++) {
      const next = numbers(seed);
      const before = randomLines(next);
      const after = mutated(before, next);
      const joined = joinedHunks(before, hunksBetween(before, after));
      assert.deepEqual(applyHunks(before, joined), after);
      for (const [index, { start, removed }] of joined.entries()) {
        const gap = before.slice(start + removed.length, joined[index + 1]?.start ?? 0);
        if (index + 1 < joined.length) assert.match(gap.join(''), /[abcd]/);
      }
    }
  });

  it('are one where too much differs to look closer', () => {
    const lines = (name: string): string[] => Array.from({ length: 3000 }, (_, i) => `${name}${i}`);
    const [before, after] = [lines('a'), lines('b')].map((middle) => ['x', ...middle, 'y', 'z']);
    assert.ok(before !== undefined && after !== undefined);
    const hunks = hunksBetween(before, after);
    assert.deepEqual(
      hunks.map(({ start, removed, added }) => [start, removed.length, added.length]),
      [[1, 3000, 3000]],
    );
    assert.deepEqual(applyHunks(before, hunks), after);
  });

  for (const [name, lineEnd] of [
    ['LF', '\n'],
    ['CRLF', '\r\n'],
  ] as const) {
    it(`are edits of a document with ${name}, with and without a last line end, in any choice`, () => {
      for (let seed = 0; seed < 1000; seed++) {
        const next = numbers(seed);
        const before = [...randomLines(next), ...(next(2) ? [''] : ['last'])];
        const after = [...mutated(before.slice(0, -1), next), ...(next(2) ? [''] : ['last'])];
        const chosen = hunksBetween(before, after).filter(() => next(2) === 1);
        const expected = applyHunks(before, chosen).join(lineEnd);
        // All at once, as "Accept all" does.
        const document = documentOf(before.join(lineEnd));
        assert.equal(
          edited(
            document,
            chosen.map((hunk) => editOf(hunk, before, lineEnd)),
          ),
          expected,
        );
      }
    });
  }

  it('leave out what is only another line end', () => {
    assert.deepEqual(hunksBetween(linesOf('a\r\nb\r\n'), linesOf('a\nb\n')), []);
  });
});

describe('hunks of a document that goes on changing', () => {
  it('are found where their lines are, or not at all', () => {
    let found = 0;
    let lost = 0;
    for (let seed = 0; seed < 2000; seed++) {
      const next = numbers(seed);
      const base = randomLines(next);
      const hunks = hunksBetween(base, mutated(base, next));
      const current = mutated(base, next);
      for (const [index, start] of placesIn(current, base, hunks).entries()) {
        const hunk = hunks[index];
        assert.ok(hunk !== undefined);
        if (start === undefined) lost++;
        else found++;
        if (start === undefined) continue;
        assert.deepEqual(current.slice(start, start + hunk.removed.length), hunk.removed);
      }
    }
    assert.ok(found > 200 && lost > 200, `${found} found, ${lost} lost`);
  });

  const base = ['one', 'two', 'three', 'four', 'five'];
  const change = { start: 2, removed: ['three'], added: ['3'] };
  const placeAfter = (current: string[]): number | undefined =>
    placesIn(current, base, [change])[0];

  it('move with the lines above them', () => {
    assert.equal(placeAfter(['zero', ...base]), 3);
    assert.equal(placeAfter(base.slice(1)), 1);
    assert.equal(placeAfter(['one', 'two', 'and a half', 'three', 'four', 'five']), 3);
    assert.equal(placeAfter([...base, 'six']), 2);
  });

  it('do not fit where their own lines have changed', () => {
    assert.equal(placeAfter(['one', 'two', 'THREE', 'four', 'five']), undefined);
    assert.equal(placeAfter(['one', 'two', 'four', 'five']), undefined);
  });
});

describe('Proposal', () => {
  /** Accepts and rejects hunks one by one in some order, each made in the document by its edit. */
  const play = (seed: number, lineEnd: string): void => {
    const next = numbers(seed);
    const before = randomLines(next).join(lineEnd);
    const after = mutated(linesOf(before), next).join(lineEnd);
    const proposal = new Proposal(before, after);
    let text = before;
    const all = proposal.view(text).hunks;
    const accepted = new Set<number>();
    while (!proposal.isOver) {
      const { hunks, stale } = proposal.view(text);
      assert.deepEqual(stale, []);
      const hunk = hunks[next(hunks.length)];
      assert.ok(hunk !== undefined);
      if (next(2) === 1) {
        text = edited(documentOf(text), [editOf(hunk, linesOf(text), lineEnd)]);
        proposal.accept(new Set([hunk.id]));
        accepted.add(hunk.id);
      } else {
        proposal.reject(new Set([hunk.id]));
      }
    }
    const expected = applyHunks(
      linesOf(before),
      all.filter(({ id }) => accepted.has(id)),
    );
    assert.equal(text, expected.join(lineEnd), `seed ${seed}`);
  };

  it('ends in the text of the hunks that were accepted, whatever the order', () => {
    for (let seed = 0; seed < 1000; seed++) {
      play(seed, '\n');
      play(seed, '\r\n');
    }
  });

  const before = 'a\nb\nc\nd\ne\n';
  const after = 'A\nb\nc\nD\nd2\ne\n';

  it('shows lines that go before lines that come, and where each hunk begins', () => {
    const { lines, hunks } = new Proposal(before, after).view(before);
    assert.deepEqual(lines, ['a', 'A', 'b', 'c', 'd', 'D', 'd2', 'e', '']);
    assert.deepEqual(
      hunks.map(({ id, start, line }) => [id, start, line]),
      [
        [0, 0, 0],
        [1, 3, 4],
      ],
    );
  });

  it('keeps the hunks that fit when another hunk is accepted, and when that is undone', () => {
    const proposal = new Proposal(before, after);
    proposal.accept(new Set([0]));
    assert.deepEqual(
      proposal.view('A\nb\nc\nd\ne\n').hunks.map(({ id, start }) => [id, start]),
      [[1, 3]],
    );
    // Undone by the user: the document is as it was.
    assert.deepEqual(
      proposal.view(before).hunks.map(({ id, start }) => [id, start]),
      [[1, 3]],
    );
  });

  it('says which hunks no longer fit, and has them again when their lines are back', () => {
    const proposal = new Proposal(before, after);
    const changed = proposal.view('a\nb\nc\nd, changed\ne\n');
    assert.deepEqual(
      [changed.hunks.map(({ id }) => id), changed.stale.map(({ id }) => id)],
      [[0], [1]],
    );
    assert.deepEqual(changed.lines, ['a', 'A', 'b', 'c', 'd, changed', 'e', '']);
    assert.equal(proposal.view(before).stale.length, 0);
  });

  it('has what was accepted open again where it did not get into the document', () => {
    const proposal = new Proposal(before, after);
    const takeBack = proposal.accept(new Set([0, 1]));
    assert.ok(proposal.isOver);
    takeBack();
    assert.deepEqual(
      proposal.view(before).hunks.map(({ id, start }) => [id, start]),
      [
        [0, 0],
        [1, 3],
      ],
    );
  });

  it('is over at once where nothing changes', () => {
    assert.ok(new Proposal('a\r\nb', 'a\nb').isOver);
  });
});
