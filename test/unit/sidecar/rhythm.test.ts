import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Rhythm } from '../../../sidecar/completion/rhythm.ts';

/** Someone who types every `interval` milliseconds, last at 10 000, with a model that takes `duration`. */
function after(interval: number, duration: number): Rhythm {
  const rhythm = new Rhythm();
  for (let i = 10; i >= 0; i--) rhythm.typed(10_000 - i * interval);
  for (let i = 0; i < 3; i++) rhythm.answered(duration);
  return rhythm;
}

describe('Rhythm', () => {
  it('asks a model at once that answers before the next key', () => {
    assert.equal(after(120, 100).delay(10_000), 0);
    assert.equal(new Rhythm().delay(10_000), 0);
  });

  it('waits for a pause where the model is slower than that', () => {
    const rhythm = after(120, 400);
    assert.equal(rhythm.delay(10_000), 180);
    assert.equal(rhythm.delay(10_100), 80);
    assert.equal(rhythm.delay(10_180), 0);
    assert.equal(after(60, 400).delay(10_000), 90);
  });

  it('never waits long, and takes no pause for an interval', () => {
    assert.equal(after(900, 5000).delay(10_000), 300);
    const rhythm = after(100, 400);
    rhythm.typed(20_000);
    assert.equal(rhythm.delay(20_000), 150);
  });

  it('goes with the latest keys and answers', () => {
    const rhythm = after(120, 400);
    for (let i = 0; i < 16; i++) rhythm.answered(20);
    assert.equal(rhythm.delay(10_000), 0);
  });
});
