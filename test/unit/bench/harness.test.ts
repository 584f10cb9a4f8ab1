import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Contender } from '../../../bench/contender.ts';
import { rowOf, sampleInTurn } from '../../../bench/harness.ts';
import { runRound } from '../../../bench/rounds.ts';
import { weightBytes } from '../../../bench/scaling.ts';
import { targetOf } from '../../../bench/targets.ts';
import { hostileBase } from '../../fixtures/models/specs.ts';

describe('rows', () => {
  const baseline = { name: 'stock', samples: [10, 20, 40] };
  it('have a ratio above 1 where the baseline is worse, whichever way is better', () => {
    const faster = rowOf({ case: 'a', unit: 'tokens/s', better: 'higher' }, [20, 20, 60], baseline);
    assert.equal(faster.ratio, 1.5);
    assert.equal(faster.value, 20);
    assert.equal(faster.baseline?.value, 20);
    assert.ok(Math.abs(faster.spread - (1.75 - 1.25) / 1.5) < 1e-12);
    const smaller = rowOf({ case: 'a', unit: 's', better: 'lower' }, [5, 10, 20], baseline);
    assert.equal(smaller.ratio, 2);
  });
  it('pair the first samples where one side has fewer', () => {
    const what = { case: 'a', unit: 'tokens/s', better: 'higher' } as const;
    const row = rowOf(what, [30, 80, 1, 1, 1], { name: 'slow', samples: [10, 20] });
    assert.equal(row.runs, 2);
    assert.equal(row.ratio, 3.5);
    assert.equal(row.value, 1);
    assert.equal(rowOf(what, [30], baseline).ratio, 3);
  });
  it('carry what is asked of their case', () => {
    const speed = { unit: 'tokens/s', better: 'higher' } as const;
    const int8 = rowOf({ ...speed, case: 'decode/int8/depth=16384' }, [1]);
    assert.deepEqual([int8.must, int8.goal], [1.8, 2.3]);
    const stock = rowOf({ ...speed, case: 'decode/llama.cpp q8_0 fa=on/depth=0' }, [1]);
    assert.ok(!('must' in stock) && !('goal' in stock));
  });
});

describe('targets', () => {
  it('are the narrower ones before the wider', () => {
    assert.equal(targetOf('decode/int8/depth=4096')?.must, 1.3);
    assert.equal(targetOf('decode/full/depth=4096')?.must, 1);
  });
  it('tell a cache from what is measured of it', () => {
    assert.equal(targetOf('decode/int8/depth=16384/baseline=full')?.must, 1.2);
    assert.equal(targetOf('decode/int8/depth=16384/share-of-floor')?.must, 0.6);
    assert.equal(targetOf('decode/int8/linearity/depth=1024'), undefined);
    assert.equal(targetOf('quality/llama.cpp q8_0 fa=on/context=4096/same-top'), undefined);
  });
});

describe('samples', () => {
  it('are taken in turn', async () => {
    const order: string[] = [];
    const sampler = (name: string) => () => Promise.resolve(order.push(name));
    const samplers = new Map([
      ['a', sampler('a')],
      ['b', sampler('b')],
    ]);
    const samples = await sampleInTurn(2, samplers);
    assert.equal(order.join(''), 'abab');
    assert.deepEqual(
      [...samples],
      [
        ['a', [1, 3]],
        ['b', [2, 4]],
      ],
    );
  });
});

describe('a round', () => {
  it('goes to the depth and walks on from there in turns', async () => {
    const log: string[] = [];
    const contender = (name: string): Contender => {
      let held = 0;
      return {
        goTo: (depth) => {
          log.push(`${name} to ${(held = depth)}`);
          return Promise.resolve();
        },
        evaluate: (tokens) => {
          log.push(`${name} ${held}+${tokens}`);
          held += tokens;
          return Promise.resolve();
        },
        close: () => Promise.resolve(),
      };
    };
    const entrants = new Map([
      ['a', { contender: contender('a'), depth: 100 }],
      ['b', { contender: contender('b'), depth: 200 }],
    ]);
    const seconds = await runRound(entrants, { tokens: 8, turn: 4, batch: 3 });
    const turns = ['a 100+3', 'a 103+1', 'b 200+3', 'b 203+1', 'a 104+3', 'a 107+1', 'b 204+3'];
    assert.deepEqual(log, ['a to 100', 'b to 200', ...turns, 'b 207+1']);
    assert.deepEqual([...seconds.keys()], ['a', 'b']);
  });
});

describe('the weights read for a token', () => {
  it('are all of them but a token embedding that is not the output matrix', () => {
    const { vocabulary, embedding } = hostileBase;
    const matrix = ((vocabulary * embedding) / 32) * 34;
    const tied = weightBytes({ ...hostileBase, tied: true });
    assert.ok(tied > matrix);
    assert.equal(weightBytes({ ...hostileBase, tied: false }), tied);
    const f32 = { ...hostileBase, weights: 'f32' } as const;
    assert.ok(weightBytes(f32) > 3 * tied);
  });
});
