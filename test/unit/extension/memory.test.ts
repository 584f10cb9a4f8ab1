import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { describeProfile } from '../../../extension/describe.ts';
import { memoryCsv } from '../../../extension/memory/csv.ts';
import { firstSight } from '../../../extension/memory/firstSight.ts';
import { fromPage } from '../../../extension/memory/messages.ts';
import { profileItems } from '../../../extension/memory/profileItems.ts';
import { describeQuality } from '../../../extension/memory/quality.ts';
import {
  parseBudget,
  segmentsOf,
  tableRows,
  usesTier,
} from '../../../extension/memory/view/model.ts';
import type { CacheQuality, CacheStats, MemoryForecast } from '../../../sidecar/protocol.ts';

const forecast: MemoryForecast = {
  tokens: [0, 1024, 2048],
  policies: [
    { policy: 'full', bytes: [0, 2_000_000, 4_000_000] },
    { policy: 'selective', bytes: [0, 1_200_000, 2_200_000] },
    { policy: 'compressed', bytes: [0, 500_000, 500_000] },
  ],
  profiles: [
    { name: 'quality', bytes: 4_000_000 },
    {
      name: 'balanced',
      bytes: 2_200_000,
      measured: { model: 'tiny.gguf', contextTokens: 4096, sameTop: 0.991 },
    },
    { name: 'small', bytes: 1_600_000 },
  ],
  overridden: [],
};
const stats: CacheStats = {
  policy: 'selective',
  tokens: 1500,
  contextTokens: 2048,
  bytes: 1_700_000,
  reservedBytes: 2_000_000,
  fp16Bytes: 3_000_000,
  budgetBytes: 0,
  sequences: [{ name: 'completion', tokens: 1500, bytes: 1_700_000, sharedBytes: 0 }],
  tiers: [
    { name: 'sink', tokens: 16, bytes: 100_000 },
    { name: 'int8', tokens: 1228, bytes: 1_100_000 },
    { name: 'window', tokens: 256, bytes: 500_000 },
  ],
  droppedTokens: 0,
  degradedTokens: 0,
  biasedLayers: [],
};
const bytesByName = (given: CacheStats, from: MemoryForecast | null = forecast): object =>
  Object.fromEntries(segmentsOf(given, from).map(({ name, bytes }) => [name, bytes]));

describe('the bar of the memory view', () => {
  it('has the tiers, and what is left until the context is full', () => {
    assert.deepEqual(segmentsOf(stats, forecast), [
      { name: 'sink', label: 'sink, FP16', tokens: 16, bytes: 100_000 },
      { name: 'int8', label: 'int8', tokens: 1228, bytes: 1_100_000 },
      { name: 'window', label: 'window, FP16', tokens: 256, bytes: 500_000 },
      { name: 'free', label: 'until the context is full', bytes: 500_000 },
    ]);
    assert.deepEqual(bytesByName(stats, null), { sink: 100_000, int8: 1_100_000, window: 500_000 });
  });

  it('has what other sequences hold besides, and what is free of the budget', () => {
    const sequences = [
      { name: 'completion', tokens: 1500, bytes: 1_700_000, sharedBytes: 1_000_000 },
      { name: 'chat', tokens: 1800, bytes: 2_000_000, sharedBytes: 1_000_000 },
    ] as const;
    const tiers = { sink: 100_000, int8: 1_100_000, window: 500_000 };
    const used = 700_000 + 1_000_000 + 1_000_000;
    const others = used - stats.bytes;
    const budgetBytes = 4_000_000;
    assert.deepEqual(bytesByName({ ...stats, sequences, budgetBytes }), {
      ...tiers,
      others,
      free: budgetBytes - used,
    });
    // Above the budget, as after it was lowered, nothing is free.
    assert.deepEqual(bytesByName({ ...stats, sequences, budgetBytes: 1 }), { ...tiers, others });
  });
});

describe('the first sight of the memory view', () => {
  const ready = { state: 'ready', message: 'Sightline <ready>' } as const;
  const textOf = (html: string): string =>
    html.replace(/<[^>]*>/g, ' ').replace(/[\s\u00A0]+/g, ' ');

  it('has the numbers of the cache as they are known', () => {
    const html = firstSight(ready, stats);
    const text = textOf(html);
    for (const part of [
      'Sightline &#60;ready&#62;',
      '1.6 MiB 1 500 of 2 048 tokens · 1.8x smaller than FP16',
      'sink, FP16 16 98 KiB',
      'int8 1 228 1.0 MiB',
      'window, FP16 256 0.5 MiB',
    ]) {
      assert.ok(text.includes(part), part);
    }
    assert.match(html, /class="swatch tier-int8"/);
  });

  it('says that there is nothing before a model is loaded', () => {
    assert.match(
      textOf(firstSight(ready, undefined)),
      /Nothing is cached before a model is loaded/,
    );
  });
});

describe('the profiles', () => {
  const choices = [
    { value: 'quality', description: 'All of it.' },
    { value: 'small', description: 'Little.' },
  ];
  const settings = { profile: 'balanced', apart: [], policy: 'x', tier: 'y', budgetMiB: 0 };
  const textOf = (name: string): string | undefined =>
    describeProfile(name, forecast)?.replaceAll('\u00A0', ' ');

  it('are told by what they take and, where that is known, what they cost', () => {
    assert.equal(textOf('quality'), '3.8 MiB with 2 048 tokens');
    assert.equal(
      textOf('balanced'),
      '2.1 MiB with 2 048 tokens, 1.8x smaller than FP16; the likeliest token is the same in 99.1 % of the places (tiny.gguf, contexts of 4 096 tokens)',
    );
    assert.equal(textOf('small'), '1.5 MiB with 2 048 tokens, 2.5x smaller than FP16');
    assert.equal(describeProfile('none', forecast), undefined);
    assert.equal(describeProfile('small', { ...forecast, profiles: [] }), undefined);
  });

  it('are offered with the one in use marked, and with what goes before it', () => {
    const [quality, balanced, small] = profileItems(choices, settings, forecast);
    assert.equal(quality?.label, 'quality');
    assert.match(quality.detail, /^All of it\. 3\.8 MiB/);
    assert.deepEqual([balanced?.label, balanced?.description], ['$(check) balanced', '']);
    assert.equal(small?.profile, 'small');
    const apart = profileItems(choices, { ...settings, apart: ['policy', 'tier'] }, null);
    assert.deepEqual(
      apart.map(({ description, detail }) => [description, detail]),
      [
        ['', 'All of it.'],
        ['in use, but for sightline.cache.policy, sightline.cache.tier', ''],
        ['', 'Little.'],
      ],
    );
    const overridden = { ...forecast, overridden: ['tier'] as const };
    assert.deepEqual(
      profileItems(choices, { ...settings, apart: ['policy'] }, overridden).map(
        ({ description }) => description,
      ),
      ['', 'in use, but for sightline.cache.policy, sightline.model.overrides', ''],
    );
  });
});

describe('tableRows', () => {
  it('picks the first, the last and some between', () => {
    assert.deepEqual(tableRows(65), [0, 8, 16, 24, 32, 40, 48, 56, 64]);
    assert.deepEqual(tableRows(3), [0, 1, 2]);
    assert.deepEqual(tableRows(1), [0]);
    assert.deepEqual(tableRows(0), []);
  });
});

describe('parseBudget', () => {
  it('takes whole numbers that the setting may have, and nothing else', () => {
    assert.equal(parseBudget('0'), 0);
    assert.equal(parseBudget(' 512 '), 512);
    for (const text of ['', ' ', '-1', '1.5', '1048577', 'many', 'NaN', 'Infinity']) {
      assert.equal(parseBudget(text), undefined, text);
    }
  });
});

describe('usesTier', () => {
  it('is what docs/protocol.md says', () => {
    assert.equal(usesTier('selective'), true);
    for (const policy of ['full', 'auto', 'hierarchical', 'compressed']) {
      assert.equal(usesTier(policy), false, policy);
    }
  });
});

describe('memoryCsv', () => {
  it('has a row for each length, and one for what is measured where it belongs', () => {
    assert.equal(
      memoryCsv(forecast, stats),
      [
        'tokens,full (bytes),selective (bytes),compressed (bytes),measured (bytes)',
        '0,0,0,0,',
        '1024,2000000,1200000,500000,',
        '1500,,,,1700000',
        '2048,4000000,2200000,500000,',
        '',
      ].join('\n'),
    );
    const lines = (text: string): string[] => text.trimEnd().split('\n');
    assert.equal(lines(memoryCsv(forecast, { ...stats, tokens: 2048 })).at(-1), '2048,,,,1700000');
    assert.equal(lines(memoryCsv(forecast, undefined)).length, 4);
  });
});

describe('what the page of the memory view may say', () => {
  const isGood = (message: unknown): boolean => fromPage.safeParse(message).success;
  const png =
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAAC0lEQVR4nGNgAAIAAAUAAXpeqz8AAAAASUVORK5CYII=';

  it('is one of these', () => {
    for (const message of [
      { kind: 'ready' },
      { kind: 'chooseProfile', profile: 'small' },
      { kind: 'choosePolicy', policy: 'full' },
      { kind: 'chooseTier', tier: 'int4' },
      { kind: 'setBudget', budgetMiB: 0 },
      { kind: 'run', command: 'sightline.clearCache' },
      { kind: 'saveFigure', png },
      { kind: 'saveData' },
    ]) {
      assert.ok(isGood(message), message.kind);
    }
  });

  it('is nothing else', () => {
    for (const message of [
      undefined,
      'ready',
      {},
      { kind: 'unknown' },
      { kind: 'ready', more: 1 },
      { kind: 'choosePolicy' },
      { kind: 'choosePolicy', policy: 'x'.repeat(41) },
      { kind: 'setBudget', budgetMiB: -1 },
      { kind: 'setBudget', budgetMiB: 0.5 },
      { kind: 'setBudget', budgetMiB: '16' },
      { kind: 'run', command: 'workbench.action.terminal.new' },
      { kind: 'saveFigure', png: 'PHNjcmlwdD4=' },
      { kind: 'saveFigure', png: `${png}, and more` },
    ]) {
      assert.equal(isGood(message), false, JSON.stringify(message));
    }
  });
});

describe('describeQuality', () => {
  const quality: CacheQuality = {
    uri: 'file:///w/my%20app.ts',
    tokens: 2000,
    documentTokens: 2000,
    policy: 'selective',
    perplexity: 5.0505,
    fp16Perplexity: 5.0,
    divergence: 0.004,
    divergence99: 0.06,
    sameTop: 0.973,
    bytes: 2 ** 20,
    fp16Bytes: 2 * 2 ** 20,
  };
  const page = (more: Partial<CacheQuality> = {}): string =>
    describeQuality({ ...quality, ...more }).replaceAll('\u00A0', ' ');

  it('tells the numbers, and what they mean', () => {
    for (const part of [
      '# Cache quality: my app.ts',
      'Measured on all 2 000 tokens, with the policy selective.',
      '| Perplexity | 5.051 | 5.000 |',
      '| Memory | 1.0 MiB | 2.0 MiB |',
      '| Mean divergence | 0.004 nats | 0 |',
      '| 99 % of divergences | 0.06 nats | 0 |',
      '| Same likeliest token | 97.3 % | 100 % |',
      'With this cache it is 1 % higher than with FP16.',
      'This cache is 2.0x smaller.',
    ]) {
      assert.ok(page().includes(part), `${part} in\n${page()}`);
    }
    assert.match(page({ tokens: 500 }), /on the first 500 of 2 000 tokens/);
    assert.match(page({ perplexity: 4.9 }), /2 % lower/);
  });

  it('starts with a verdict', () => {
    const verdict = (more: Partial<CacheQuality>): string | undefined =>
      page(more).split('\n\n')[1];
    assert.match(verdict({}) ?? '', /^\*\*As good as FP16/);
    assert.match(verdict({ divergence: 0.05 }) ?? '', /^\*\*Close to FP16/);
    assert.match(verdict({ divergence: 0.5 }) ?? '', /^\*\*Clearly worse/);
    assert.match(verdict({ policy: 'full', divergence: 0 }) ?? '', /^\*\*Nothing is lost/);
  });
});
