import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { describe, it } from 'node:test';
import { Command, CommanderError } from 'commander';
import {
  addSettingOptions,
  settingsGiven,
  settingsOf,
  type SettingOptions,
} from '../../../sidecar/cli/options.ts';
import { parseTarget } from '../../../sidecar/cli/target.ts';
import type { SightlineSettings } from '../../../sidecar/protocol.ts';
import { formatReport, type Report } from '../../../sidecar/cli/report.ts';
import { parseSettings } from '../../../sidecar/settings.ts';

/** What a command makes of its options, or what it says of them. */
function settingsFor(...args: string[]): SightlineSettings | string {
  let said = '';
  let settings: SightlineSettings | undefined;
  const command = new Command('any').exitOverride().configureOutput({
    outputError: (text) => {
      said = text.trim();
    },
  });
  addSettingOptions(command)
    .option('--max-new-tokens <count>')
    .action((options: SettingOptions) => {
      settings = settingsOf(command, options);
    });
  try {
    command.parse(args, { from: 'user' });
  } catch (error) {
    assert.ok(error instanceof CommanderError);
    assert.ok(error.exitCode > 0);
  }
  return settings ?? said.replace(/^error: /, '');
}

describe('settingsGiven', () => {
  it('is only what the options say, so that what a client sends besides counts', () => {
    const command = addSettingOptions(new Command('any'));
    const defaults = settingsGiven(command, { tier: 'int8' });
    const { cache } = parseSettings({ cache: { profile: 'quality' } }, defaults).settings;
    assert.equal(cache.policy, 'full');
    assert.equal(cache.tier, 'int8');
  });
});

describe('settingsOf', () => {
  it('leaves everything at its default', () => {
    assert.deepEqual(settingsFor(), parseSettings(undefined).settings);
  });

  it('takes every option', () => {
    const settings = settingsFor(
      ...'--model m.gguf --cache h2o --tier int4 --sink-size 1 --window-size 2 --span 6'.split(' '),
      ...'--keep 0.7 --budget 8 --context 3 --device cpu --gpu-layers 7 --cuda-path cuda'.split(
        ' ',
      ),
      ...'--threads 4 --max-new-tokens 5'.split(' '),
    );
    assert.deepEqual(settings, {
      enable: true,
      model: { path: resolve('m.gguf'), contextTokens: 3, overrides: {} },
      cache: {
        ...parseSettings(undefined).settings.cache,
        policy: 'h2o',
        tier: 'int4',
        sink: 1,
        window: 2,
        span: 6,
        keep: 0.7,
        budgetMiB: 8,
      },
      gpu: { use: 'off', layers: 7, cudaPath: resolve('cuda') },
      server: { url: '', model: '' },
      threads: 4,
      completion: { maxTokens: 5 },
      context: { pinned: [], related: true },
      nextEdit: { enable: false },
    });
  });

  it('says what is wrong', () => {
    const error = (...args: string[]): string => {
      const said = settingsFor(...args);
      assert.ok(typeof said === 'string');
      return said;
    };
    assert.match(error('--nope'), /--nope/);
    assert.equal(
      error('--threads', 'x'),
      '--threads must be a whole number from 0 to 256, not "x"',
    );
    assert.match(
      error('--cache', 'int4'),
      /^--cache must be one of "selective", .*, "lowrank", not "int4"$/,
    );
    assert.equal(
      error('--device', 'gpu'),
      '--device must be one of "auto", "cpu", "cuda", not "gpu"',
    );
    assert.match(error('--keep', '0'), /^--keep must be a number from .* not 0$/);
    assert.match(error('--budget', '0.5'), /^--budget must be a whole number .* not 0.5$/);
    assert.match(error('--max-new-tokens', '0'), /^--max-new-tokens must be .* not 0$/);
  });
});

describe('parseTarget', () => {
  it('takes columns and paths with colons', () => {
    assert.deepEqual(parseTarget('a.ts:3:7'), { file: 'a.ts', line: 3, column: 7 });
    assert.deepEqual(parseTarget('a.ts:12'), { file: 'a.ts', line: 12, column: undefined });
    assert.deepEqual(parseTarget('C:\\a.ts:3'), {
      file: 'C:\\a.ts',
      line: 3,
      column: undefined,
    });
    assert.deepEqual(parseTarget('a:b.ts:3:7'), { file: 'a:b.ts', line: 3, column: 7 });
    for (const place of ['a.ts', 'a.ts:0', ':3']) assert.equal(parseTarget(place), undefined);
  });
});

describe('formatReport', () => {
  const report: Report = {
    file: 'a.ts',
    line: 1,
    column: undefined,
    generated: 'x',
    completion: 'x',
    finish: 'end',
    model: {
      name: 'Tiny',
      architecture: 'qwen2',
      parameters: 3_800_000,
      contextTokens: 8192,
      threads: 1,
      kernels: 'avx2',
    },
    tokens: {
      file: 9100,
      inSight: 3200,
      prefix: 2400,
      suffix: 800,
      omittedBefore: 5900,
      omittedAfter: 0,
      reused: 0,
      prefilled: 3210,
      generated: 24,
    },
    seconds: { load: 0.03, prefill: 1.23, decode: 0.5 },
    tokensPerSecond: { prefill: 2609.7, decode: 48 },
    memory: {
      policy: 'selective',
      tiers: [
        { name: 'sink', tokens: 16, bytes: 32768 },
        { name: 'int8', tokens: 2944, bytes: 3_000_000 },
      ],
      tokens: 2960,
      bytes: 3_032_768,
      reservedBytes: 4_000_000,
      fp16Bytes: 6_062_080,
      ratio: 1.9988,
      droppedTokens: 0,
      degradedTokens: 0,
      biasedLayers: [],
      check: undefined,
    },
  };

  it('tells tokens, timings and memory by tier', () => {
    assert.equal(
      formatReport(report),
      `model    Tiny (qwen2, 3.8 M parameters), 8 192 tokens of context, 1 thread, avx2 kernels
tokens   file 9 100, in sight 3 200 (2 400 before the cursor, 800 after it)
         left out 5 900 (5 900 at the start, 0 at the end)
         reused 0, prefilled 3 210, generated 24
time     load 0.03 s, prefill 1.23 s (2610 tokens/s), decode 0.50 s (48.0 tokens/s)
memory   KV cache, policy selective
  tier              tokens         bytes
  sink                  16      32.0 KiB
  int8               2 944      2.86 MiB
  total              2 960      2.89 MiB
  as FP16            2 960      5.78 MiB
  FP16 / total                     2.00x`,
    );
  });

  it('tells what the cache lost, and what its check found', () => {
    const check = {
      asked: 'int4',
      tier: 'int8',
      divergence: 1.234e-4,
      bound: 0.02,
      sameTop: 0.995,
    };
    const losses = { droppedTokens: 1024, degradedTokens: 128, biasedLayers: [0, 23] };
    const tail = (memory: Partial<Report['memory']>): string[] =>
      formatReport({ ...report, memory: { ...report.memory, ...memory } })
        .split('\n')
        .slice(12);
    assert.deepEqual(tail({}), []);
    assert.deepEqual(tail({ ...losses, check }), [
      'dropped  1 024 tokens that later ones no longer see',
      'degraded 128 tokens of the window, from a quantised block',
      'check    int8 against FP16: divergence 0.00012 nats, within 0.02; same likeliest token at 99.5 %',
      '         int4 missed the bound, int8 is used',
      'bias     keys stay int8 or FP16 in layers 0, 23',
    ]);
    const [above] = tail({ check: { ...check, asked: 'int8', divergence: 0.5 } });
    assert.match(above ?? '', /divergence 0\.5 nats, above 0\.02;/);
  });

  it('says what an editor is offered where that is not all', () => {
    const first = (generated: string, completion: string): string | undefined =>
      formatReport({ ...report, generated, completion }).split('\n')[0];
    assert.equal(first('a\n  b\nc', 'a\n  b'), 'offered  2 lines of this, up to: b');
    assert.equal(first('  ', ''), 'offered  nothing of this');
  });
});
