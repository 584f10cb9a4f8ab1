import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { cacheProfileNames, cacheProfiles } from '../../../sidecar/protocol.ts';
import { modelPathOf, parseSettings, withOverrides } from '../../../sidecar/settings.ts';

interface Property {
  readonly default: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly enum?: readonly string[];
  readonly enumDescriptions?: readonly string[];
}

const manifest = JSON.parse(
  readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'),
) as { contributes: { configuration: { properties: Record<string, Property> } } };

/** The settings the sidecar takes; `sightline.trace.server` is the client's own. */
const contributed = Object.entries(manifest.contributes.configuration.properties)
  .filter(([name]) => !name.startsWith('sightline.trace.'))
  .map(([name, property]) => ({ keys: name.split('.').slice(1), property }));

const nested = (keys: readonly string[], value: unknown): unknown =>
  keys.reduceRight<unknown>((inner, key) => ({ [key]: inner }), value);

const at = (object: unknown, keys: readonly string[]): unknown =>
  keys.reduce<unknown>((group, key) => (group as Record<string, unknown>)[key], object);

describe('parseSettings', () => {
  it('has the defaults and bounds of package.json', () => {
    const defaults = parseSettings(undefined).settings;
    for (const { keys, property } of contributed) {
      assert.deepEqual(at(defaults, keys), property.default, keys.join('.'));
      assert.equal(property.enum?.length, property.enumDescriptions?.length, keys.join('.'));
      for (const name of property.enum ?? []) {
        assert.deepEqual(at(parseSettings(nested(keys, name)).settings, keys), name);
      }
      for (const bound of [property.minimum, property.maximum]) {
        if (bound === undefined) continue;
        const outside = bound === property.minimum ? bound - 1 : bound + 1;
        assert.deepEqual(parseSettings(nested(keys, bound)).problems, []);
        assert.equal(parseSettings(nested(keys, outside)).problems.length, 1, keys.join('.'));
      }
    }
    const leaves = JSON.stringify(defaults).match(/":(?!\{")/g) ?? [];
    assert.equal(leaves.length, contributed.length);
  });

  it('takes good values', () => {
    const { settings, problems } = parseSettings({
      enable: false,
      model: { path: '/m.gguf' },
      cache: { policy: 'full', sink: 4 },
    });
    assert.deepEqual(problems, []);
    assert.equal(settings.enable, false);
    assert.equal(settings.model.path, '/m.gguf');
    const defaults = parseSettings(undefined).settings.cache;
    assert.deepEqual(settings.cache, { ...defaults, policy: 'full', sink: 4 });
  });

  it('names a wrong setting with what it accepts, and falls back', () => {
    const { settings, problems } = parseSettings({
      threads: 'four',
      cache: { policy: 'most', window: 1.5 },
      model: { path: 'relative.gguf' },
    });
    assert.deepEqual(settings, parseSettings(undefined).settings);
    assert.deepEqual(problems.map(({ name }) => name).sort(), [
      'cache.policy',
      'cache.window',
      'model.path',
      'threads',
    ]);
    const reason = problems.find(({ name }) => name === 'cache.policy')?.reason ?? '';
    assert.match(reason, /^must be one of "selective", .*, not "most"$/);
  });

  it('names unknown settings, however deep or mistyped their group', () => {
    const { problems } = parseSettings({ cache: { windw: 3 }, model: 'x', more: { a: { b: 1 } } });
    assert.deepEqual(problems.map(({ name }) => name).sort(), ['cache.windw', 'model', 'more']);
    assert.match(problems.find(({ name }) => name === 'more')?.reason ?? '', /cache\.window/);
  });

  it('survives anything', () => {
    for (const input of [
      null,
      3,
      'x',
      [],
      [1],
      { enable: null },
      { enable: { a: 1 } },
      { cache: [] },
    ]) {
      assert.deepEqual(parseSettings(input).settings, parseSettings(undefined).settings);
    }
    assert.equal(parseSettings({ enable: { a: 1 } }).problems.length, 1);
  });

  it('knows where the model is', () => {
    const path = (value: string): string =>
      modelPathOf(parseSettings({ model: { path: value } }).settings, '/bundled');
    assert.equal(path(''), '/bundled');
    assert.equal(path('/a/b'), '/a/b');
    assert.equal(path('~/b'), join(homedir(), 'b'));
  });
});

describe('the profiles of the cache', () => {
  const cacheOf = (cache: object, defaults?: object): object => {
    const { settings, problems } = parseSettings({ cache }, defaults);
    assert.deepEqual(problems, []);
    const { policy, tier } = settings.cache;
    return { policy, tier };
  };

  it('are policy and tier where these are not set', () => {
    for (const profile of cacheProfileNames) {
      assert.deepEqual(cacheOf({ profile }), cacheProfiles[profile]);
    }
    assert.deepEqual(cacheOf({ profile: 'small', policy: undefined }), cacheProfiles.small);
    // The usual cache has a name too.
    assert.deepEqual(cacheOf({}), cacheProfiles.balanced);
  });

  it('leave alone all that is set, by whoever', () => {
    const { small } = cacheProfiles;
    assert.deepEqual(cacheOf({ profile: 'small', policy: 'h2o' }), { ...small, policy: 'h2o' });
    assert.deepEqual(cacheOf({ profile: 'small', tier: 'int8' }), { ...small, tier: 'int8' });
    const commandLine = { cache: { policy: 'hierarchical', tier: undefined } };
    assert.deepEqual(cacheOf({ profile: 'small' }, commandLine), {
      ...small,
      policy: 'hierarchical',
    });
    const model = { path: '/m.gguf', overrides: { 'm.gguf': { tier: 'k8v4' } } };
    const { settings } = parseSettings({ model, cache: { profile: 'small' } });
    assert.equal(withOverrides(settings, '/b.gguf').cache.tier, 'k8v4');
  });

  it('take the place of what is wrong, as defaults do', () => {
    const wrong = parseSettings({ cache: { profile: 'small', tier: 'int3' } });
    assert.equal(wrong.settings.cache.tier, 'int4');
    const unknown = parseSettings({ cache: { profile: 'tiny' } });
    assert.match(unknown.problems[0]?.reason ?? '', /must be one of "quality".*not "tiny"/);
    assert.deepEqual(unknown.settings, parseSettings(undefined).settings);
  });
});

describe('withOverrides', () => {
  const given = {
    model: {
      path: '/models/large-q8_0.gguf',
      contextTokens: 100,
      overrides: {
        'large-q8_0.gguf': { contextTokens: 4096, policy: 'hierarchical', gpuLayers: 7 },
        'bundled.gguf': { tier: 'int4', budgetMiB: 64 },
      },
    },
    cache: { tier: 'k8v4', budgetMiB: 9 },
  };

  it('takes what is said of the model in use, by the name of its file', () => {
    const parsed = parseSettings(given);
    assert.deepEqual(parsed.problems, []);
    const large = withOverrides(parsed.settings, '/x/bundled.gguf');
    assert.equal(large.model.contextTokens, 4096);
    assert.equal(large.cache.policy, 'hierarchical');
    assert.equal(large.cache.tier, 'k8v4');
    assert.equal(large.gpu.layers, 7);
    const { settings } = parseSettings({ ...given, model: { ...given.model, path: '' } });
    const bundled = withOverrides(settings, '/x/bundled.gguf');
    assert.equal(bundled.model.contextTokens, 100);
    assert.equal(bundled.cache.tier, 'int4');
    assert.equal(bundled.cache.budgetMiB, 64);
    assert.equal(withOverrides(settings, '/x/other.gguf'), settings);
  });

  it('says what is wrong with them, and uses the others', () => {
    const overrides = {
      'a.gguf': { tier: 'int3', contextTokens: 5 },
      'b.gguf': 7,
      'c.gguf': { x: 1 },
    };
    const { settings, problems } = parseSettings({ model: { overrides } });
    assert.equal(problems.length, 3);
    assert.match(problems[0]?.reason ?? '', /must be one of "int8".*not "int3"/);
    assert.deepEqual(settings.model.overrides, { 'a.gguf': { contextTokens: 5 }, 'c.gguf': {} });
  });
});
