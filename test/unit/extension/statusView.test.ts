import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { describeSight } from '../../../extension/describe.ts';
import { linkedCommands, statusView } from '../../../extension/statusView.ts';
import type { CacheStats, ContextInSight } from '../../../sidecar/protocol.ts';

const MiB = 1024 * 1024;
const stats: CacheStats = {
  policy: 'selective',
  tokens: 4096,
  contextTokens: 8192,
  bytes: 4.2 * MiB,
  reservedBytes: 5 * MiB,
  fp16Bytes: 8 * MiB,
  budgetBytes: 0,
  sequences: [],
  tiers: [
    { name: 'sink', tokens: 16, bytes: 32 * 1024 },
    { name: 'int8', tokens: 3824, bytes: 3.7 * MiB },
    { name: 'window', tokens: 256, bytes: 0.5 * MiB },
  ],
  droppedTokens: 0,
  degradedTokens: 0,
  biasedLayers: [],
  inSight: {
    uri: 'file:///a/my_app%20x.ts',
    documentTokens: 9100,
    prefixTokens: 2200,
    suffixTokens: 1000,
    omittedBefore: 5900,
    omittedAfter: 0,
    files: [],
    leftOut: [],
  },
  prefillTokensPerSecond: 1234.5,
  decodeTokensPerSecond: 56.78,
};
const ready = { state: 'ready', message: 'tiny_model, 8192 tokens of context' } as const;
const spaced = (text: string): string => text.replaceAll('\u00A0', ' ');

describe('statusView', () => {
  it('shows memory, tokens and ratio', () => {
    assert.equal(spaced(statusView(ready, stats).text), '$(eye) 4.2 MiB · 4 096 tokens · 1.9x');
    const generating = statusView({ state: 'generating', message: '' }, stats);
    assert.equal(spaced(generating.text), '$(sync~spin) 4.2 MiB · 4 096 tokens · 1.9x');
  });

  it('shows the progress of a load', () => {
    const view = statusView({ state: 'loading', fraction: 0.429, message: 'Loading m' }, undefined);
    assert.equal(view.text, '$(loading~spin) Sightline 42 %');
    assert.equal(view.severity, 'none');
  });

  it('stands out when something is wrong', () => {
    const severity = (state: 'warning' | 'error' | 'stopped'): string =>
      statusView({ state, message: 'x' }, stats).severity;
    assert.equal(severity('warning'), 'warning');
    assert.equal(severity('error'), 'error');
    assert.equal(severity('stopped'), 'error');
    assert.equal(statusView({ state: 'error', message: 'x' }, stats).text, '$(error) Sightline');
  });

  it('tells screen readers the same, without icons', () => {
    assert.equal(
      spaced(statusView(ready, stats).label),
      'Sightline: 4.2 MiB · 4 096 tokens · 1.9x. tiny_model, 8192 tokens of context',
    );
    const stopped = { state: 'stopped', message: 'Stopped. Restart it.' } as const;
    assert.equal(statusView(stopped, undefined).label, 'Sightline: Stopped. Restart it.');
  });

  it('lets the tooltip run the commands that it has links to, and no other', () => {
    const { tooltip } = statusView(ready, stats);
    const linked = [...tooltip.matchAll(/\(command:([\w.]+)\)/g)].map(([, command]) => command);
    assert.deepEqual(linked, linkedCommands);
  });

  it('tells tiers, FP16, what is in sight, speed and commands in the tooltip', () => {
    const tooltip = spaced(statusView(ready, stats).tooltip);
    for (const part of [
      '| sink, FP16 | 16 | 32 KiB |',
      '| int8 | 3 824 | 3.7 MiB |',
      '| window, FP16 | 256 | 0.5 MiB |',
      '| **KV cache** | 4 096 | 4.2 MiB |',
      '| as FP16 | 4 096 | 8.0 MiB |',
      '1.9x smaller than FP16 · 4 096 of 8 192 tokens of context in use',
      '3 200 of 9 100 tokens of my\\_app x.ts in sight; 5 900 left out at the start',
      'prefill 1 235 tokens/s · decode 56.8 tokens/s',
      '(command:sightline.showMemory)',
      '(command:sightline.restart)',
      '(command:sightline.showLog)',
    ]) {
      assert.ok(tooltip.includes(part), `${part} in\n${tooltip}`);
    }
  });

  it('tells lost tokens, the self-check and biased layers where there are any', () => {
    const plain = spaced(statusView(ready, stats).tooltip);
    assert.doesNotMatch(plain, /dropped|quantised|Checked|bias/);
    const check = { asked: 'int8', tier: 'int8', divergence: 1.5e-4, bound: 0.01, sameTop: 0.99 };
    const tooltip = (more: Partial<CacheStats>): string =>
      spaced(statusView(ready, { ...stats, ...more }).tooltip);
    const told = tooltip({
      droppedTokens: 1024,
      degradedTokens: 128,
      biasedLayers: [0, 23],
      check,
    });
    for (const line of [
      '1 024 tokens dropped: later ones no longer see them',
      '128 tokens of the window come from a quantised block',
      'Checked against FP16: divergence 0.00015 nats, within 0.01',
      'Outlying key biases: keys stay int8 or FP16 in layers 0, 23',
    ]) {
      assert.ok(told.split('\n\n').includes(line), `${line} in\n${told}`);
    }
    assert.ok(
      tooltip({ check: { ...check, asked: 'int4' } }).includes(
        'within 0.01; int4 missed the bound, int8 is used',
      ),
    );
    assert.ok(tooltip({ check: { ...check, divergence: 0.5 } }).includes('0.5 nats, above 0.01'));
  });

  it('shows tiers that it does not know as they come', () => {
    const tiers = [
      { name: 'k8v4', tokens: 128, bytes: 64 * 1024 },
      { name: 'passthrough', tokens: 4096, bytes: 2 * MiB },
    ];
    const tooltip = spaced(statusView(ready, { ...stats, tiers }).tooltip);
    assert.ok(tooltip.includes('| k8v4 | 128 | 64 KiB |'), tooltip);
    assert.ok(tooltip.includes('| kept by llama.cpp, FP16 | 4 096 | 2.0 MiB |'), tooltip);
  });

  it('keeps a message from becoming Markdown', () => {
    const { tooltip } = statusView(
      { state: 'error', message: '[x](command:y) `z` | <b>' },
      undefined,
    );
    assert.ok(tooltip.includes('\\[x\\]\\(command:y\\) \\`z\\` \\| \\<b\\>'), tooltip);
  });

  it('does without numbers before there are any', () => {
    assert.equal(statusView(ready, undefined).text, '$(eye) Sightline');
    const empty = { ...stats, tokens: 0, bytes: 0, fp16Bytes: 0, tiers: [] };
    assert.deepEqual(statusView(ready, empty), statusView(ready, undefined));
  });
});

describe('describeSight', () => {
  it('says that all is in sight, or what is not', () => {
    const sight = { uri: 'untitled:Untitled-1', documentTokens: 10, prefixTokens: 6 };
    const nothing = { files: [], leftOut: [] };
    const rest = { suffixTokens: 4, omittedBefore: 0, omittedAfter: 0, ...nothing };
    assert.equal(describeSight({ ...sight, ...rest }), 'All 10 tokens of Untitled-1 in sight');
    assert.equal(
      describeSight({ ...sight, ...rest, suffixTokens: 1, omittedBefore: 2, omittedAfter: 1 }),
      '7 of 10 tokens of Untitled-1 in sight; 2 left out at the start, 1 left out at the end',
    );
  });

  it('counts what prompts start with', () => {
    const uri = 'file:///a.ts';
    const lines = { uri, documentTokens: 9000, prefixTokens: 300, suffixTokens: 100 };
    const sight = { ...lines, omittedBefore: 5000, omittedAfter: 3600, leftOut: [] };
    const source = 'open';
    const own = (tokens: number) => ({ uri, source, tokens, documentTokens: 9000 }) as const;
    const said = (files: ContextInSight['files']): string =>
      spaced(describeSight({ ...sight, files }));
    assert.equal(
      said([own(9000)]),
      'All 9 000 tokens of a.ts in sight, 400 of them around the cursor',
    );
    // An estimate gives way to what was counted.
    const counted = { uri, source, tokens: 9100, documentTokens: 9200 } as const;
    assert.match(said([counted]), /^9 100 of 9 200 tokens of a\.ts in sight/);
    assert.equal(
      said([
        { uri: 'file:///b.ts', source: 'pinned', tokens: 700, documentTokens: 700 },
        own(2048),
        { uri: 'file:///c.ts', source: 'import', tokens: 50, documentTokens: 80 },
      ]),
      '2 048 of 9 000 tokens of a.ts in sight, 400 of them around the cursor; also b.ts (700, pinned), c.ts (50 of 80, imported)',
    );
  });

  it('says what is left out, and why', () => {
    const inSight: ContextInSight = {
      uri: 'file:///a.ts',
      documentTokens: 10,
      prefixTokens: 10,
      suffixTokens: 0,
      omittedBefore: 0,
      omittedAfter: 0,
      files: [{ uri: 'file:///b.ts', source: 'open', tokens: 5, documentTokens: 5 }],
      leftOut: ['c', 'd', 'e', 'f', 'g', 'h'].map((name) => ({
        uri: `file:///${name}.ts`,
        reason: name === 'c' ? 'duplicate' : 'room',
      })),
    };
    const { tooltip } = statusView(ready, { ...stats, inSight });
    assert.ok(
      tooltip
        .replaceAll('\\', '')
        .includes(
          '2 of 8 files in sight. Left out: c.ts (nearly the same as another), d.ts (no room), e.ts (no room), f.ts (no room), 2 more',
        ),
      tooltip,
    );
  });
});
