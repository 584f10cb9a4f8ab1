import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { OfferedCompletions } from '../../../sidecar/completion/offered.ts';
import { placeAt as place } from '../support/places.ts';

describe('OfferedCompletions', () => {
  const offered = new OfferedCompletions();
  offered.remember(place('let a = |;\n'), 'first(b)');

  it('goes on with what is being typed, and with what was there when it is taken back', () => {
    assert.equal(offered.find(place('let a = |;\n'))?.text, 'first(b)');
    assert.equal(offered.find(place('let a = f|;\n'))?.text, 'irst(b)');
    assert.equal(offered.find(place('let a = first(|;\n'))?.text, 'b)');
    assert.equal(offered.find(place('let a = fi|;\n'))?.text, 'rst(b)');
  });

  it('knows nothing of anything else', () => {
    for (const source of [
      'let a = x|;\n',
      'let a = first(b)|;\n',
      'let a = first(b);|\n',
      'let b = f|;\n',
      'let a = f|; \n',
      'let a =|;\n',
      '|',
    ])
      assert.equal(offered.find(place(source)), undefined, source);
    assert.equal(offered.find(place('let a = f|;\n', 'file:///b.ts')), undefined);
  });

  it('prefers the latest, and forgets the oldest', () => {
    const many = new OfferedCompletions();
    many.remember(place('|'), 'ab');
    many.remember(place('a|'), 'bc');
    assert.equal(many.find(place('a|'))?.text, 'bc');
    assert.equal(many.find(place('|'))?.text, 'ab');
    for (let i = 0; i < 100; i++) many.remember(place(`${i}|`), 'x');
    assert.equal(many.find(place('|')), undefined);
    for (let i = 0; i < 100; i++) many.remember(place('|', `file:///${i}`), 'x');
    assert.equal(many.find(place('99|')), undefined);
    assert.equal(many.find(place('|', 'file:///99'))?.text, 'x');
    many.clear();
    assert.equal(many.find(place('|', 'file:///99')), undefined);
  });
});
