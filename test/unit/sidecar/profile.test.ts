import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatProfile } from '../../../sidecar/cli/profileTable.ts';
import type { ModelInfo, OperationEvent, Profile } from '../../../sidecar/engine/addon.ts';
import { growthOf, sampled } from '../../../sidecar/profile/growth.ts';
import { reportOf, type ProfileReport } from '../../../sidecar/profile/report.ts';
import { summarise } from '../../../sidecar/profile/summary.ts';
import { traceOf } from '../../../sidecar/profile/trace.ts';
import { assertNested, countersOf, parseTrace, spansOf } from '../support/trace.ts';

const promptTokens = 100;
const product = { name: 'MUL_MAT', role: 'ffn_up', shape: 'q8_0 4x8', device: 'CPU' };
const attention = { name: 'ATTEND', role: 'attention', shape: '', device: 'CPU', kernel: 'avx2' };

const operations: Profile['operations'] = [
  { name: 'GET_ROWS', role: '', shape: 'f32 4', device: 'CPU' },
  { ...product, layer: 0 },
  { ...attention, layer: 0, tiers: 'fp16' },
  { ...product, layer: 1 },
  { ...attention, layer: 1, tiers: 'fp16' },
  { ...attention, layer: 1, tiers: 'fp16+int8' },
];

const event = (
  operation: number,
  step: number,
  start: number,
  duration: number,
  more: Partial<OperationEvent> = {},
): OperationEvent => ({
  ...{ operation, step, start, duration, flops: 10, bytes: 100 },
  ...more,
});

/** A prompt in one step of 100 tokens, and two tokens behind it. */
const profile: Profile = {
  operations,
  events: [
    event(0, 0, 1000.0004, 10),
    event(1, 0, 1010.5, 20.25),
    event(2, 0, 1031, 40, { cacheBytes: { fp16: 64 } }),
    event(0, 0, 1072, 1),
    event(3, 0, 1074, 20),
    event(4, 0, 1095, 40, { cacheBytes: { fp16: 64 } }),
    event(1, 1, 2000, 30),
    event(5, 1, 2031, 50, { cacheBytes: { fp16: 32, int8: 17 } }),
    event(1, 2, 3000, 30),
    event(5, 2, 3031, 50.0006, { cacheBytes: { fp16: 32, int8: 17 } }),
  ],
  steps: [
    {
      ...{ first: 0, tokens: 100, start: 999, duration: 140, fp16Bytes: 1000 },
      tiers: [{ name: 'window', tokens: 100, bytes: 1000 }],
    },
    {
      ...{ first: 100, tokens: 1, start: 1999.5, duration: 90, fp16Bytes: 1010 },
      tiers: [
        { name: 'int8', tokens: 90, bytes: 500 },
        { name: 'window', tokens: 11, bytes: 110 },
      ],
    },
    {
      ...{ first: 101, tokens: 1, start: 2999.9, duration: 81.1006, fp16Bytes: 1020 },
      tiers: [
        { name: 'int8', tokens: 90, bytes: 500 },
        { name: 'window', tokens: 12, bytes: 120 },
      ],
    },
  ],
  lostSteps: 0,
};

const info: ModelInfo = {
  architecture: 'llama',
  name: 'Tiny',
  fileBytes: 1,
  parameters: 1_000_000,
  layers: 2,
  vocabulary: 10,
  trainedTokens: 512,
  contextTokens: 512,
  fim: { prefix: -1, suffix: -1, middle: -1, pad: -1, repository: -1, separator: -1 },
  bos: -1,
  addBos: false,
  bosText: '',
  eosText: '',
  ownedLayers: 2,
  threads: 1,
  kernels: 'avx2',
  gpuLayers: 0,
  loadSeconds: 1,
};

const reported = (
  of: Profile = profile,
  unprofiled: Profile['steps'] = profile.steps,
): ProfileReport =>
  reportOf(
    info,
    { policy: 'selective', tier: 'int8' },
    promptTokens,
    { profile: of, generatedTokens: 3, isWhole: true },
    unprofiled,
  );

describe('summarise', () => {
  it('adds up layers and runs by phase, operation, kernel and tiers', () => {
    const [prefill, decode, ...none] = summarise(profile, [], promptTokens);
    assert.ok(prefill !== undefined && decode !== undefined);
    assert.deepEqual(none, []);
    assert.deepEqual(
      [prefill.phase, prefill.steps, prefill.tokens, decode.phase, decode.steps, decode.tokens],
      ['prefill', 1, 100, 'decode', 2, 2],
    );
    assert.deepEqual(
      prefill.rows.map(({ operation, kernel, calls, flops, bytes, cacheBytes }) => ({
        ...{ operation, kernel, calls, flops, bytes, cacheBytes },
      })),
      [
        {
          ...{ operation: 'ATTEND attention', kernel: 'avx2 fp16', calls: 2, flops: 20 },
          ...{ bytes: 200, cacheBytes: { fp16: 128 } },
        },
        {
          ...{ operation: 'MUL_MAT ffn_up', kernel: '', calls: 2, flops: 20 },
          ...{ bytes: 200, cacheBytes: {} },
        },
        { operation: 'GET_ROWS', kernel: '', calls: 2, flops: 20, bytes: 200, cacheBytes: {} },
      ],
    );
    assert.deepEqual(decode.rows[0]?.kernel, 'avx2 fp16+int8');
    assert.deepEqual(decode.rows[0].cacheBytes, { fp16: 64, int8: 34 });
    for (const { rows, operationSeconds } of [prefill, decode]) {
      const near = (one: number, other: number): void => {
        assert.ok(Math.abs(one - other) < 1e-12, `${one} is not ${other}`);
      };
      near(
        rows.reduce((sum, { seconds }) => sum + seconds, 0),
        operationSeconds,
      );
      near(
        rows.reduce((sum, { share }) => sum + share, 0),
        1,
      );
    }
  });

  it('compares with the same steps run without a profile, where there are any', () => {
    const plain = profile.steps.slice(0, 2).map((step) => ({ ...step, duration: 40 }));
    const [prefill, decode] = summarise(profile, plain, promptTokens);
    assert.equal(prefill?.unprofiled?.steps, 1);
    assert.ok(Math.abs(prefill.unprofiled.ratio - 131.25 / 40) < 1e-9);
    assert.equal(decode?.unprofiled?.steps, 1);
    assert.ok(Math.abs(decode.unprofiled.ratio - 80 / 40) < 1e-9);
    assert.equal(summarise(profile, [], promptTokens)[0]?.unprofiled, undefined);
  });

  it('leaves out a phase without steps', () => {
    const { steps, events } = profile;
    const early = { ...profile, steps: steps.slice(0, 1), events: events.slice(0, 6) };
    assert.deepEqual(
      summarise(early, [], promptTokens).map(({ phase }) => phase),
      ['prefill'],
    );
    assert.deepEqual(summarise({ ...profile, steps: [], events: [] }, [], promptTokens), []);
  });
});

describe('growthOf', () => {
  it('has the bytes by tier, in all and as FP16 after every step', () => {
    assert.deepEqual(growthOf(profile.steps, promptTokens), [
      { phase: 'prefill', tokens: 100, bytes: 1000, fp16Bytes: 1000, tiers: { window: 1000 } },
      ...[110, 120].map((window, index) => ({
        ...{ phase: 'decode', tokens: 101 + index, bytes: 500 + window },
        ...{ fp16Bytes: 1010 + 10 * index, tiers: { int8: 500, window } },
      })),
    ]);
  });

  it('is sampled from the first to the last', () => {
    const [point] = growthOf(profile.steps, promptTokens);
    assert.ok(point !== undefined);
    const points = Array.from({ length: 100 }, (_, tokens) => ({ ...point, tokens }));
    const few = sampled(points, 5).map(({ tokens }) => tokens);
    assert.deepEqual(few, [0, 25, 50, 74, 99]);
    assert.deepEqual(sampled(points.slice(0, 3), 5), points.slice(0, 3));
  });
});

describe('traceOf', () => {
  const trace = traceOf(profile, promptTokens, 'Tiny', { cache: 'selective' });

  it('is what Perfetto reads: spans nested, threads named, times from the first step on', () => {
    const parsed = parseTrace(JSON.stringify(trace));
    assertNested(parsed);
    const names = parsed.traceEvents.flatMap((one) => (one.ph === 'M' ? [one.args] : []));
    assert.deepEqual(
      names.flatMap((args) => ('name' in args ? [args.name] : [])),
      ['Tiny', 'prefill', 'decode'],
    );
    assert.equal(Math.min(...parsed.traceEvents.map((one) => ('ts' in one ? one.ts : 0))), 0);
  });

  it('has every step, layer and operation once', () => {
    const spans = spansOf(trace);
    const named = (cat: string): string[] =>
      spans.filter((span) => span.cat === cat).map(({ name }) => name);
    assert.deepEqual(named('step'), [
      'prefill tokens 0 to 99',
      'decode token 100',
      'decode token 101',
    ]);
    assert.deepEqual(named('layer'), [
      ...['layer 0', 'layer 1'],
      ...['layer 0', 'layer 1', 'layer 0', 'layer 1'],
    ]);
    assert.equal(named('operation').length, profile.events.length);
    const attend = spans.find(({ name }) => name === 'ATTEND attention');
    assert.deepEqual(attend?.args['cacheBytes'], { fp16: 64 });
    assert.equal(attend.args['flops'], 10);
  });

  it('counts the cache by tier and as FP16 after every step, every tier each time', () => {
    const counters = countersOf(trace);
    assert.deepEqual(
      counters.filter(({ name }) => name.includes('tier')).map(({ args }) => args),
      [
        { window: 1000, int8: 0 },
        { window: 110, int8: 500 },
        { window: 120, int8: 500 },
      ],
    );
    assert.deepEqual(
      counters.filter(({ name }) => name.includes('FP16')).map(({ args }) => args),
      [{ fp16: 1000 }, { fp16: 1010 }, { fp16: 1020 }],
    );
  });

  it('of nothing is empty', () => {
    const empty = { operations: [], events: [], steps: [], lostSteps: 0 };
    const { traceEvents } = traceOf(empty, 1, 'Tiny', {});
    assert.ok(traceEvents.every(({ ph }) => ph === 'M'));
  });
});

describe('formatProfile', () => {
  it('has a table for each phase, one of the cache, and what the profile costs', () => {
    const text = formatProfile(reported());
    assert.match(text, /^model +Tiny \(llama, 1\.0 M parameters, 2 layers\), 1 thread, avx2/m);
    assert.match(text, /^cache +selective int8$/m);
    assert.match(text, /^prefill {2}1 step, 100 tokens$/m);
    assert.match(text, /^ +ATTEND attention +avx2 fp16 +2 +0\.08 +61\.0 % /m);
    assert.match(text, /^ +all operations +6 +0\.13 +100\.0 % /m);
    assert.match(text, /the same steps without a profile: 0\.17 ms; .* 0\.94x of that$/m);
    assert.match(text, /^ +phase +tokens +window +int8 +total +as FP16 +FP16 \/ total$/m);
    assert.match(text, /^ +decode +102 +0\.1 KiB +0\.5 KiB +0\.6 KiB +1\.0 KiB +1\.65x$/m);
    assert.doesNotMatch(text, /not counted|NaN|undefined/);
  });

  it('folds what takes next to nothing, and says what is missing', () => {
    const [get] = profile.events;
    assert.ok(get !== undefined);
    const events = profile.events.map((one) =>
      one.operation === 0 ? { ...one, duration: 0.01 } : one,
    );
    const text = formatProfile(reported({ ...profile, events, lostSteps: 3 }, []));
    assert.match(text, /^ +1 others +2 +0\.00 /m);
    assert.doesNotMatch(text, /GET_ROWS|without a profile/);
    assert.match(text, /^The last 3 steps are not counted: ask for fewer tokens\.$/m);
  });
});
