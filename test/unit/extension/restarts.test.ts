import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RestartBudget } from '../../../extension/restarts.ts';

describe('RestartBudget', () => {
  it('allows five restarts in three minutes', () => {
    const budget = new RestartBudget();
    const seconds = [0, 10, 20, 30, 40];
    for (const second of seconds) assert.equal(budget.take(second * 1000), true);
    assert.equal(budget.take(50_000), false);
    assert.equal(budget.take(179_999), false);
    assert.equal(budget.take(180_000), true);
    assert.equal(budget.take(180_001), false);
    budget.reset();
    assert.equal(budget.take(180_002), true);
  });
});
