/** What the cache and the context hold, as sentences for people. */
import * as l10n from '@vscode/l10n';
import type {
  CacheCheck,
  CacheStats,
  ContextInSight,
  FileLeftOut,
  FileSource,
  MemoryForecast,
} from '../sidecar/protocol.ts';
import { formatBytes, formatCount, formatRatio, formatShare, formatShort } from './format.ts';

/** A row of the cache's account; names that say a format stay as they are. */
export function describeTier(name: string): string {
  if (name === 'sink') return l10n.t('sink, FP16');
  if (name === 'window') return l10n.t('window, FP16');
  if (name === 'passthrough') return l10n.t('kept by llama.cpp, FP16');
  return name;
}

/** "1 200 of 8 192 tokens · 1.9x smaller than FP16" */
export const describeHeld = (stats: CacheStats): string =>
  [
    l10n.t('{0} of {1} tokens', formatCount(stats.tokens), formatCount(stats.contextTokens)),
    l10n.t('{0} smaller than FP16', formatRatio(stats)),
  ].join(' · ');

/** What the cache has lost. */
export function describeLosses(stats: CacheStats): string[] {
  const { droppedTokens, degradedTokens, biasedLayers } = stats;
  const lines: string[] = [];
  if (droppedTokens > 0) {
    lines.push(
      l10n.t('{0} tokens dropped: later ones no longer see them', formatCount(droppedTokens)),
    );
  }
  if (degradedTokens > 0) {
    lines.push(
      l10n.t('{0} tokens of the window come from a quantised block', formatCount(degradedTokens)),
    );
  }
  if (biasedLayers.length > 0) {
    lines.push(
      l10n.t('Outlying key biases: keys stay int8 or FP16 in layers {0}', biasedLayers.join(', ')),
    );
  }
  return lines;
}

/** "Checked against FP16: divergence 0.012 nats, within 0.02; int4 missed the bound, int8 is used" */
export function describeCheck({ asked, tier, divergence, bound }: CacheCheck): string {
  const values = [formatShort(divergence), formatShort(bound)] as const;
  const found =
    divergence <= bound
      ? l10n.t('Checked against FP16: divergence {0} nats, within {1}', ...values)
      : l10n.t('Checked against FP16: divergence {0} nats, above {1}', ...values);
  return tier === asked
    ? found
    : `${found}; ${l10n.t('{0} missed the bound, {1} is used', asked, tier)}`;
}

/** "8.6 MiB with 8 192 tokens, 1.9x smaller than FP16" and, where it was measured, what that costs; undefined: not known. */
export function describeProfile(
  name: string,
  { tokens, policies, profiles }: MemoryForecast,
): string | undefined {
  const profile = profiles.find((one) => one.name === name);
  const fp16Bytes = policies.find(({ policy }) => policy === 'full')?.bytes.at(-1);
  if (profile === undefined || fp16Bytes === undefined) return undefined;
  const { bytes, measured } = profile;
  const size = [formatBytes(bytes), formatCount(tokens.at(-1) ?? 0)] as const;
  if (bytes >= fp16Bytes) return l10n.t('{0} with {1} tokens', ...size);
  const smaller = formatRatio({ bytes, fp16Bytes });
  const memory = l10n.t('{0} with {1} tokens, {2} smaller than FP16', ...size, smaller);
  if (measured === undefined) return memory;
  const cost = l10n.t(
    'the likeliest token is the same in {0} of the places ({1}, contexts of {2} tokens)',
    formatShare(measured.sameTop),
    measured.model,
    formatCount(measured.contextTokens),
  );
  return `${memory}; ${cost}`;
}

/**
 * "3 200 of 9 100 tokens of app.ts in sight; 5 900 left out at the start", or, where the file is also among those that
 * prompts start with, "All 9 100 tokens of app.ts in sight, 500 of them around the cursor"; then the other files.
 */
export function describeSight(sight: ContextInSight): string {
  const others = sight.files.filter(({ uri }) => uri !== sight.uri);
  if (others.length === 0) return describeDocument(sight);
  const files = others.map(({ uri, source, tokens, documentTokens }) => {
    const details = [
      tokens < documentTokens
        ? l10n.t('{0} of {1}', formatCount(tokens), formatCount(documentTokens))
        : formatCount(tokens),
      ...(source === 'open' ? [] : [describeSource(source)]),
    ];
    return `${fileName(uri)} (${details.join(', ')})`;
  });
  return l10n.t('{0}; also {1}', describeDocument(sight), files.join(', '));
}

/** Why a file is among those that prompts start with. */
export function describeSource(source: FileSource): string {
  switch (source) {
    case 'open':
      return l10n.t('open');
    case 'pinned':
      return l10n.t('pinned');
    case 'definition':
      return l10n.t('defines names here');
    case 'import':
      return l10n.t('imported');
  }
}

/** Why a file is not among them. */
export function describeReason(reason: FileLeftOut['reason']): string {
  switch (reason) {
    case 'room':
      return l10n.t('no room');
    case 'duplicate':
      return l10n.t('nearly the same as another');
    case 'ignored':
      return l10n.t('ignored');
    case 'secret':
      return l10n.t('may hold secrets');
    case 'binary':
      return l10n.t('binary');
    case 'size':
      return l10n.t('too large');
    case 'missing':
      return l10n.t('cannot be read');
    case 'outside':
      return l10n.t('outside the workspace');
  }
}

/** The most files that are named of those left out. */
const namedLeftOut = 4;

/** "3 of 9 files in sight. Left out: b.ts (no room), ..., 2 more"; undefined where nothing is. */
export function describeLeftOut({ uri, files, leftOut }: ContextInSight): string | undefined {
  if (leftOut.length === 0) return undefined;
  const seen = new Set([uri, ...files.map((file) => file.uri)]).size;
  const named = leftOut
    .slice(0, namedLeftOut)
    .map((file) => `${fileName(file.uri)} (${describeReason(file.reason)})`);
  const rest = leftOut.length - named.length;
  const list = rest > 0 ? [...named, l10n.t('{0} more', rest)] : named;
  const all = seen + leftOut.length;
  return l10n.t('{0} of {1} files in sight. Left out: {2}', seen, all, list.join(', '));
}

function describeDocument(sight: ContextInSight): string {
  const live = sight.prefixTokens + sight.suffixTokens;
  const whole = formatCount(sight.documentTokens);
  const name = fileName(sight.uri);
  if (sight.omittedBefore + sight.omittedAfter === 0) {
    return l10n.t('All {0} tokens of {1} in sight', whole, name);
  }
  const settled = sight.files.find(({ uri }) => uri === sight.uri);
  if (settled !== undefined) {
    // Counted, where `whole` may be an estimate.
    const counted = formatCount(settled.documentTokens);
    const around = formatCount(live);
    return settled.tokens >= settled.documentTokens
      ? l10n.t(
          'All {0} tokens of {1} in sight, {2} of them around the cursor',
          counted,
          name,
          around,
        )
      : l10n.t(
          '{0} of {1} tokens of {2} in sight, {3} of them around the cursor',
          formatCount(Math.max(live, settled.tokens)),
          counted,
          name,
          around,
        );
  }
  const parts = [
    ...(sight.omittedBefore > 0
      ? [l10n.t('{0} left out at the start', formatCount(sight.omittedBefore))]
      : []),
    ...(sight.omittedAfter > 0
      ? [l10n.t('{0} left out at the end', formatCount(sight.omittedAfter))]
      : []),
  ];
  const seen = l10n.t('{0} of {1} tokens of {2} in sight', formatCount(live), whole, name);
  return `${seen}; ${parts.join(', ')}`;
}

/** The last part of a URI's path, as it is on disk. */
export function fileName(uri: string): string {
  const name = /[^/:]*$/.exec(uri.replace(/[?#].*$/, ''))?.[0] ?? uri;
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
