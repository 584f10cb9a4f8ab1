import { homedir } from 'node:os';
import { basename, isAbsolute, join } from 'node:path';
import { z } from 'zod';
import {
  cacheProfileNames,
  cacheProfiles,
  type ModelOverrides,
  type SightlineSettings,
} from './protocol.ts';

// Every message goes on after "must be".

const number = (least: number, most = Number.MAX_SAFE_INTEGER) => {
  const range =
    most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
  const message = `a whole number ${range}`;
  return z.int(message).min(least, message).max(most, message);
};

const whole = (fallback: number, least: number, most?: number) =>
  number(least, most).default(fallback);

const share = (fallback: number, least: number) => {
  const message = `a number from ${least} to 1`;
  return z.number(message).min(least, message).max(1, message).default(fallback);
};

const among = <const T extends string>(...names: T[]) =>
  z.enum(names, `one of ${names.map((name) => JSON.stringify(name)).join(', ')}`);

const oneOf = <const T extends string>(fallback: T, ...others: T[]) =>
  among(fallback, ...others).default(fallback);

const group = <T extends z.core.$ZodLooseShape>(shape: T) =>
  z.strictObject(shape, 'a group of settings');

const modelPath =
  'an absolute path of a GGUF file, a path starting with "~/", or "" for the bundled model';
const isModelPath = (path: string): boolean =>
  path === '' || isAbsolute(path) || path.startsWith('~/');

const serverUrl = 'an address such as "https://host:8000", or ""';
const isServerUrl = (url: string): boolean => url === '' || /^https?:\/\/[^\s/]+/.test(url);

const policies = [
  'selective',
  'auto',
  'full',
  'hierarchical',
  'compressed',
  'h2o',
  'attention',
  'importance',
  'lowrank',
] as const;
const tiers = ['int8', 'fp8', 'k8v4', 'int4', 'k4v2'] as const;

const profile = among(...cacheProfileNames).default('balanced');

const mostMiB = 1048576;
const mostLayers = 4096;

const overrides = group({
  contextTokens: number(0).optional(),
  policy: among(...policies).optional(),
  tier: among(...tiers).optional(),
  budgetMiB: number(0, mostMiB).optional(),
  gpuLayers: number(0, mostLayers).optional(),
});

const schema = group({
  enable: z.boolean('true or false').default(true),
  model: group({
    path: z.string(modelPath).refine(isModelPath, modelPath).default(''),
    contextTokens: whole(0, 0),
    overrides: z.record(z.string(), overrides, 'settings by the name of a file').default({}),
  }).prefault({}),
  cache: group({
    profile,
    policy: among(...policies).default(cacheProfiles.balanced.policy),
    tier: among(...tiers).default(cacheProfiles.balanced.tier),
    sink: whole(16, 0, 128),
    window: whole(0, 0, 65536),
    span: whole(4096, 0, 1048576),
    keep: share(0.5, 0.01),
    weights: group({
      attention: share(0.4, 0),
      recency: share(0.3, 0),
      kind: share(0.3, 0),
    }).prefault({}),
    budgetMiB: whole(0, 0, mostMiB),
    selfCheck: z.boolean('true or false').default(true),
    keepOnDisk: z.boolean('true or false').default(true),
  }).prefault({}),
  gpu: group({
    use: oneOf('auto', 'required', 'off'),
    layers: whole(0, 0, mostLayers),
    cudaPath: z
      .string('an absolute path, or ""')
      .refine((path) => path === '' || isAbsolute(path), 'an absolute path, or ""')
      .default(''),
  }).prefault({}),
  server: group({
    url: z.string(serverUrl).refine(isServerUrl, serverUrl).default(''),
    model: z.string('the name of a model').default(''),
  }).prefault({}),
  threads: whole(0, 0, 256),
  completion: group({ maxTokens: whole(64, 1, 1024) }).prefault({}),
  context: group({
    pinned: z.array(z.string('a path'), 'a list of paths').default([]),
    related: z.boolean('true or false').default(true),
  }).prefault({}),
  nextEdit: group({ enable: z.boolean('true or false').default(false) }).prefault({}),
});

/** A setting that was not understood. */
export interface SettingProblem {
  /** Dotted, without `sightline.`. */
  readonly name: string;
  /** Goes on after the name. */
  readonly reason: string;
}

export interface ParsedSettings {
  readonly settings: SightlineSettings;
  readonly problems: readonly SettingProblem[];
}

/**
 * Checks what a client sent. An absent setting is what the profile of the cache says, or else its default; a wrong one too, with
 * a problem. `defaults`: what goes before both.
 */
export function parseSettings(input: unknown, defaults: object = {}): ParsedSettings {
  const given = isGroup(input) ? input : {};
  const result = schema.safeParse(withProfile(over(defaults, given)));
  if (result.success) return { settings: result.data, problems: [] };
  const problems = result.error.issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => ({
          path: [...issue.path, key],
          reason: `is not one of the settings: ${known.join(', ')}`,
        }))
      : [
          {
            path: issue.path,
            reason: `must be ${issue.message}, not ${valueAt(given, issue.path)}`,
          },
        ],
  );
  const good = problems.reduce((rest, { path }) => without(rest, path), given);
  return {
    settings: schema.parse(withProfile(over(defaults, good))),
    problems: problems.map(({ path, reason }) => ({ name: path.join('.'), reason })),
  };
}

/** The only place where a profile becomes the settings that it stands for: what is set apart goes before it. */
function withProfile(given: Group): Group {
  const { cache } = given;
  const name = profile.catch('balanced').parse(isGroup(cache) ? cache['profile'] : undefined);
  return over({ cache: cacheProfiles[name] }, given);
}

/** The defaults, with what is given in their place. */
const over = (defaults: object, given: Group): Group => {
  const all: Group = { ...defaults };
  const values = Object.entries(given).map(([key, value]) => {
    const before = all[key];
    if (value === undefined) return [key, before] as const;
    return [key, isGroup(before) && isGroup(value) ? over(before, value) : value] as const;
  });
  return { ...all, ...Object.fromEntries(values) };
};

type Group = Readonly<Record<string, unknown>>;

const isGroup = (value: unknown): value is Group =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const valueAt = (given: Group, path: readonly PropertyKey[]): string =>
  JSON.stringify(path.reduce<unknown>((group, key) => isGroup(group) && group[String(key)], given));

function without(group: Group, [key, ...rest]: readonly PropertyKey[]): Group {
  const name = String(key);
  const { [name]: value, ...others } = group;
  return rest.length > 0 && isGroup(value) ? { ...others, [name]: without(value, rest) } : others;
}

const leaves = (group: Group): string[] =>
  Object.entries(group).flatMap(([key, value]) =>
    isGroup(value) && Object.keys(value).length > 0
      ? leaves(value).map((name) => `${key}.${name}`)
      : [key],
  );

/** Dotted names of all settings. */
const known = leaves(schema.parse({}));

/** The file that `sightline.model.path` names. */
export function modelPathOf(settings: SightlineSettings, bundledModel: string): string {
  const { path } = settings.model;
  if (path === '') return bundledModel;
  return path.startsWith('~/') ? join(homedir(), path.slice(2)) : path;
}

/** What the model in use has of its own. */
export const overridesOf = (
  settings: SightlineSettings,
  bundledModel: string,
): ModelOverrides | undefined =>
  settings.model.overrides[basename(modelPathOf(settings, bundledModel))];

/** The settings as they are for the model in use: what it has of its own goes before. */
export function withOverrides(
  settings: SightlineSettings,
  bundledModel: string,
): SightlineSettings {
  const own = overridesOf(settings, bundledModel);
  if (own === undefined) return settings;
  const { model, cache, gpu } = settings;
  return {
    ...settings,
    model: { ...model, contextTokens: own.contextTokens ?? model.contextTokens },
    cache: {
      ...cache,
      policy: own.policy ?? cache.policy,
      tier: own.tier ?? cache.tier,
      budgetMiB: own.budgetMiB ?? cache.budgetMiB,
    },
    gpu: { ...gpu, layers: own.gpuLayers ?? gpu.layers },
  };
}
