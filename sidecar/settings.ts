import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import type { SightlineSettings } from './protocol.ts';

/** What a setting may hold, in words and as a check. */
interface Kind<T> {
  readonly fallback: T;
  readonly values: string;
  readonly accepts: (value: unknown) => value is T;
}

const flag = (fallback: boolean): Kind<boolean> => ({
  fallback,
  values: 'true or false',
  accepts: (value) => typeof value === 'boolean',
});

const integer = (fallback: number, least: number, most: number): Kind<number> => ({
  fallback,
  values:
    most === Infinity
      ? `a whole number of at least ${least}`
      : `a whole number from ${least} to ${most}`,
  accepts: (value): value is number =>
    typeof value === 'number' && Number.isSafeInteger(value) && value >= least && value <= most,
});

const oneOf = <T extends string>(...options: readonly [T, ...T[]]): Kind<T> => ({
  fallback: options[0],
  values: options.map((option) => `"${option}"`).join(' or '),
  accepts: (value): value is T => options.some((option) => option === value),
});

const modelFile: Kind<string> = {
  fallback: '',
  values: 'an absolute path of a GGUF file, a path starting with "~/", or "" for the bundled model',
  accepts: (value): value is string =>
    typeof value === 'string' && (value === '' || isAbsolute(value) || value.startsWith('~/')),
};

const isGroup = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Dotted names of every value in `group` and the groups below it. */
function leaves(group: Readonly<Record<string, unknown>>, path = ''): string[] {
  return Object.entries(group).flatMap(([key, value]) => {
    if (value === undefined || value === null) return [];
    return isGroup(value) ? leaves(value, `${path}${key}.`) : [`${path}${key}`];
  });
}

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

/** Checks what a client sent. An absent setting takes its default, a wrong one too, with a problem. */
export function parseSettings(input: unknown): ParsedSettings {
  const root = isGroup(input) ? input : {};
  const known: string[] = [];
  const problems: SettingProblem[] = [];

  const take = <T>(name: string, kind: Kind<T>): T => {
    known.push(name);
    let value: unknown = root;
    for (const key of name.split('.')) value = isGroup(value) ? value[key] : undefined;
    if (value === undefined || value === null) return kind.fallback;
    if (kind.accepts(value)) return value;
    problems.push({ name, reason: `must be ${kind.values}, not ${JSON.stringify(value)}` });
    return kind.fallback;
  };

  const settings: SightlineSettings = {
    enable: take('enable', flag(true)),
    model: {
      path: take('model.path', modelFile),
      contextTokens: take('model.contextTokens', integer(0, 0, Infinity)),
    },
    cache: {
      policy: take('cache.policy', oneOf('selective', 'full')),
      sink: take('cache.sink', integer(16, 0, 128)),
      window: take('cache.window', integer(256, 0, 65536)),
    },
    threads: take('threads', integer(0, 0, 256)),
    completion: { maxTokens: take('completion.maxTokens', integer(64, 1, 1024)) },
  };

  for (const name of leaves(root)) {
    // An object where a plain value belongs was reported when it was read.
    if (!known.some((other) => name === other || name.startsWith(`${other}.`))) {
      problems.push({ name, reason: `is not one of the settings: ${known.join(', ')}` });
    }
  }
  return { settings, problems };
}

/** The file that `sightline.model.path` names. */
export function modelPathOf(settings: SightlineSettings, bundledModel: string): string {
  const { path } = settings.model;
  if (path === '') return bundledModel;
  return path.startsWith('~/') ? join(homedir(), path.slice(2)) : path;
}
