import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fitContext } from '../../../sidecar/completion/budget.ts';

describe('fitContext', () => {
  it('takes everything where it fits', () => {
    assert.deepEqual(fitContext(600, 400, 1000), { prefixOmitted: 0, suffixOmitted: 0 });
    assert.deepEqual(fitContext(0, 0, 1000), { prefixOmitted: 0, suffixOmitted: 0 });
  });

  it('gives a long suffix a quarter, and more where the prefix leaves room', () => {
    assert.equal(fitContext(10_000, 5000, 4000).suffixOmitted, 4000);
    assert.equal(fitContext(500, 5000, 4000).suffixOmitted, 1500);
  });

  it('gives the prefix what a short suffix leaves', () => {
    assert.deepEqual(fitContext(3900, 100, 4000), { prefixOmitted: 0, suffixOmitted: 0 });
  });

  it('moves the start of the prefix in steps of 512 tokens', () => {
    const starts = new Set<number>();
    for (let prefix = 10_000; prefix < 11_024; prefix++) {
      starts.add(fitContext(prefix, 2000, 4000).prefixOmitted);
    }
    assert.equal(starts.size, 3);
    for (const start of starts) assert.equal(start % 512, 0);
  });

  it('never overfills the room and never empties a prefix that has room', () => {
    for (const room of [0, 1, 2, 7, 64, 500, 4000]) {
      for (const prefix of [0, 1, 63, 499, 501, 9999]) {
        for (const suffix of [0, 1, 63, 499, 501, 9999]) {
          const { prefixOmitted, suffixOmitted } = fitContext(prefix, suffix, room);
          const kept = prefix - prefixOmitted + (suffix - suffixOmitted);
          assert.ok(kept <= room, `${prefix} + ${suffix} in ${room}: ${kept}`);
          if (room > 0 && prefix > 0) assert.ok(prefix > prefixOmitted);
        }
      }
    }
  });
});
