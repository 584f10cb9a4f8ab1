import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { downloadItems, fileItems, modelItems } from '../../../extension/models/items.ts';
import { withoutSecrets } from '../../../extension/secrets.ts';
import type {
  CatalogueModel,
  LocalModel,
  ModelFit,
  ModelList,
  PublishedModel,
} from '../../../sidecar/protocol.ts';

const fit = (where: ModelFit['where'], message: string): ModelFit => ({
  ...{ where, message, weightBytes: 1, cacheBytes: 1, contextTokens: 4096 },
});

const local = (path: string, more: Partial<LocalModel> = {}): LocalModel => ({
  ...{ name: `Model ${path}`, path, source: 'file', bytes: 4.7e9 },
  details: {
    architecture: 'qwen2',
    trainedTokens: 32_768,
    canChat: true,
    canFillInTheMiddle: true,
    fit: fit('gpu', 'it fits'),
  },
  ...more,
});

const entry = (name: string, more: Partial<CatalogueModel> = {}): CatalogueModel => ({
  ...{ name, repository: `some/${name}`, quantisation: 'Q8_0', parameters: 1e9 },
  ...{ trainedTokens: 16_384, uses: ['completion'], licence: 'MIT', bytes: 1.6e9 },
  fit: fit('cpu', 'it fits the CPU'),
  ...more,
});

describe('the list of models', () => {
  const list: ModelList = {
    local: [
      local('/b.gguf', { source: 'bundled', bytes: 4.2e6 }),
      local('/used.gguf'),
      local('/cached.gguf', { source: 'cache', repository: 'some/Here' }),
      { name: 'bad.gguf', path: '/bad.gguf', source: 'file', bytes: 9, problem: 'It is broken.' },
    ],
    catalogue: [
      entry('Large', { fit: fit('nowhere', 'too large') }),
      entry('Here'),
      entry('Small', { restriction: 'No commercial use.' }),
    ],
    folder: '/hub',
  };
  const items = modelItems(list, '/used.gguf');

  it('has what is on this machine, the one in use first, and then what may be downloaded', () => {
    assert.deepEqual(
      items.map(({ label }) => label),
      [
        'On this machine',
        '$(check) Model /used.gguf',
        'Model /b.gguf',
        'Model /cached.gguf',
        'bad.gguf',
        '$(folder-opened) Browse for a GGUF file…',
        'To download',
        'Small',
        'Large',
        '$(cloud-download) Another repository of Hugging Face…',
      ],
    );
    assert.deepEqual(items[0]?.choice, undefined);
    assert.deepEqual(items[1]?.choice, { kind: 'use', path: '/used.gguf' });
    assert.equal(items[7]?.choice?.kind, 'download');
  });

  it('says of each its size, its use, and whether it fits', () => {
    const [, used, bundled, , bad] = items;
    assert.equal(used?.description, 'in use · used.gguf · completion · chat · 4.7 GB · 32K tokens');
    assert.equal(used.detail, '$(pass) it fits');
    assert.match(bundled?.description ?? '', /^comes with Sightline .* 4\.2 MB/);
    assert.equal(bad?.detail, '$(error) It is broken.');
  });

  it('says of what may be downloaded its licence, and what that does not allow', () => {
    const [small, large, here] = downloadItems(list.catalogue).sort((a, b) =>
      b.label < a.label ? -1 : 1,
    );
    assert.equal(small?.description, 'completion · about 1.6 GB · Q8_0 · 16K tokens · MIT licence');
    assert.equal(small.detail, '$(pass) it fits the CPU · $(law) No commercial use.');
    assert.equal(large?.detail, '$(warning) too large');
    assert.equal(here?.label, 'Here');
  });
});

describe('the list of quantisations', () => {
  it('begins with the one asked for, and says what is still to be downloaded', () => {
    const found: PublishedModel = {
      ...{ repository: 'a/b', gated: false, name: 'M', architecture: 'llama' },
      ...{ trainedTokens: 8192, canChat: false, canFillInTheMiddle: true },
      files: [
        {
          ...{ file: 'm-q2.gguf', quantisation: 'Q2_K', bytes: 2e9, missingBytes: 0, parts: 1 },
          ...{ path: '/hub/m-q2.gguf', fit: fit('cpu', 'fits') },
        },
        {
          ...{ file: 'm-q4.gguf', quantisation: 'Q4_K_M', bytes: 4e9, missingBytes: 1e9 },
          ...{ parts: 2, fit: fit('nowhere', 'no room') },
        },
        {
          ...{ file: 'odd.gguf', quantisation: '', bytes: 5e9, missingBytes: 5e9, parts: 1 },
          fit: fit('cpu', 'fits'),
        },
      ],
    };
    assert.deepEqual(
      fileItems(found, 'Q4_K_M').map(({ label, description, detail }) => [
        label,
        description,
        detail,
      ]),
      [
        ['Q4_K_M', '4.0 GB · 2 files · 1.0 GB to go', '$(warning) no room'],
        ['Q2_K', '2.0 GB · on this machine', '$(pass) fits'],
        ['odd.gguf', '5.0 GB', '$(pass) fits'],
      ],
    );
  });
});

describe('a trace', () => {
  it('has no tokens', () => {
    const params = { repository: 'a/b', token: 'hf_"quoted"\\and', other: 'stays' };
    for (const indent of [undefined, 4]) {
      const shown = withoutSecrets(`Params: ${JSON.stringify(params, null, indent)}`);
      assert.ok(!shown.includes('hf_') && !shown.includes('and'), shown);
      assert.ok(shown.includes('stays'));
    }
    assert.deepEqual(JSON.parse(withoutSecrets(JSON.stringify(params))), { ...params, token: '…' });
  });
});
