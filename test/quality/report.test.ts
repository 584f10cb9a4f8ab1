/** The committed report of `sightline eval` can be had again: a piece of it, by its own command. */
import { strict as assert } from 'node:assert';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parseReport, type Report } from '../../sidecar/evaluation/report/report.ts';
import type { EvaluationResult, PredictionsResult } from '../../sidecar/evaluation/results.ts';
import { keyOf } from '../../sidecar/evaluation/store.ts';
import { root, runCommand } from '../integration/support.ts';

const reportIn = async (folder: string): Promise<Report> =>
  parseReport(await readFile(join(folder, 'report.json'), 'utf8'));

const isOfPredictions = (result: EvaluationResult): result is PredictionsResult =>
  result.task === 'predictions';

/** The arguments of a command line, those of these options replaced or added. */
function withOptions(command: string, options: Readonly<Record<string, string>>): string[] {
  const args = command.split(' ').slice(1);
  for (const [name, value] of Object.entries(options)) {
    const at = args.indexOf(`--${name}`);
    if (at === -1) args.push(`--${name}`, value);
    else args[at + 1] = value;
  }
  return args;
}

describe('the committed report', () => {
  let folder = '';
  let committed: Report;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sightline-'));
    committed = await reportIn(join(root, 'docs/results/eval'));
  });
  after(() => rm(folder, { recursive: true }));

  it('says what its command measures', async () => {
    const caches = ['full', 'compressed', 'selective:int8', 'selective:int4', 'h2o:int8'];
    const slice = { tasks: 'predictions', contexts: '4096', chunks: '1', caches: caches.join() };
    const args = withOptions(committed.command, { ...slice, out: folder });
    const { code, stderr } = await runCommand(args);
    assert.equal(code, 0, stderr);
    const again = await reportIn(folder);
    assert.equal(
      again.corpus.sha256,
      committed.corpus.sha256,
      'its packages were updated: record the report anew, by the command in docs/evaluation.md',
    );
    const measured = again.results.filter(isOfPredictions);
    assert.deepEqual(
      measured.map(({ cache }) => cache),
      caches,
    );
    for (const result of measured) {
      const expected = committed.results
        .filter(isOfPredictions)
        .find((one) => keyOf(one) === keyOf(result));
      assert.ok(expected, keyOf(result));
      const about = `${result.cache}: ${JSON.stringify({ ...result, byPosition: [], divergences: {} })}`;
      // Kernels of other processors sum in another order, which llama.cpp's rounding of activations makes visible.
      const near = (one: number, other: number, share: number): void => {
        assert.ok(Math.abs(one - other) <= share * Math.abs(other), `${one}, ${other}: ${about}`);
      };
      assert.equal(result.tokens, expected.tokens);
      assert.equal(result.bytes, expected.bytes);
      assert.equal(result.fullBytes, expected.fullBytes);
      assert.equal(result.droppedTokens, expected.droppedTokens);
      near(result.fullLoss, expected.fullLoss, 1e-3);
      near(result.loss, expected.loss, 1e-3);
      near(result.divergence, expected.divergence, 0.25);
      near(result.sameTop, expected.sameTop, 0.01);
    }
  });
});
