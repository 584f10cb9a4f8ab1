import type {
  CacheCheck,
  CacheStats,
  ContextInSight,
  FileLeftOut,
  FileSource,
  SidecarStatus,
} from '../sidecar/protocol.ts';

/** What the sidecar is doing, or that there is none. */
export type Status = SidecarStatus | { readonly state: 'stopped'; readonly message: string };

/** What the status bar item shows; `tooltip` is Markdown. */
export interface StatusView {
  readonly text: string;
  readonly tooltip: string;
  readonly severity: 'none' | 'warning' | 'error';
}

const icons: Readonly<Record<Status['state'], string>> = {
  loading: '$(loading~spin)',
  generating: '$(sync~spin)',
  ready: '$(eye)',
  warning: '$(warning)',
  error: '$(error)',
  stopped: '$(circle-slash)',
};

/** Of the rows whose name says no format. */
const tierNames: Readonly<Record<string, string>> = {
  sink: 'sink, FP16',
  window: 'window, FP16',
  passthrough: 'kept by llama.cpp, FP16',
};

/** Draws the status and the cache's account, once there is anything in the cache. */
export function statusView(status: Status, latest: CacheStats | undefined): StatusView {
  const stats = latest?.tokens === 0 ? undefined : latest;
  return {
    text: `${icons[status.state]} ${summary(status, stats)}`,
    tooltip: [
      `**Sightline** — ${escapeMarkdown(status.message)}`,
      ...(stats === undefined ? [] : details(stats)),
      '[Show Context](command:sightline.showContext) · [Restart Sidecar](command:sightline.restart) · [Show Log](command:sightline.showLog)',
    ].join('\n\n'),
    severity:
      status.state === 'error' || status.state === 'stopped'
        ? 'error'
        : status.state === 'warning'
          ? 'warning'
          : 'none',
  };
}

function summary(status: Status, stats: CacheStats | undefined): string {
  if (status.state === 'loading') return `Sightline ${Math.floor(status.fraction * 100)} %`;
  if (status.state === 'error' || status.state === 'stopped' || stats === undefined) {
    return 'Sightline';
  }
  return `${formatBytes(stats.bytes)} · ${formatCount(stats.tokens)} tokens · ${formatRatio(stats)}`;
}

function details(stats: CacheStats): string[] {
  const rows = [
    ...stats.tiers.map(
      (tier) => [tierNames[tier.name] ?? tier.name, tier.tokens, tier.bytes] as const,
    ),
    ['**KV cache**', stats.tokens, stats.bytes] as const,
    ['as FP16', stats.tokens, stats.fp16Bytes] as const,
  ];
  const speeds = [
    formatSpeed('prefill', stats.prefillTokensPerSecond),
    formatSpeed('decode', stats.decodeTokensPerSecond),
  ].filter((speed) => speed !== undefined);
  return [
    [
      `| ${stats.policy} | tokens | memory |`,
      '|:--|--:|--:|',
      ...rows.map(
        ([name, tokens, bytes]) => `| ${name} | ${formatCount(tokens)} | ${formatBytes(bytes)} |`,
      ),
    ].join('\n'),
    `${formatRatio(stats)} smaller than FP16 · ${formatCount(stats.tokens)} of ${formatCount(stats.contextTokens)} tokens of context in use`,
    ...losses(stats),
    ...(stats.inSight === undefined
      ? []
      : [describeSight(stats.inSight), ...describeLeftOut(stats.inSight)].map(escapeMarkdown)),
    ...(speeds.length === 0 ? [] : [speeds.join(' · ')]),
  ];
}

/** What the cache has lost, and what its self-check found. */
function losses({ droppedTokens, degradedTokens, biasedLayers, check }: CacheStats): string[] {
  const lines: string[] = [];
  if (droppedTokens > 0) {
    lines.push(`${formatCount(droppedTokens)} tokens dropped: later ones no longer see them`);
  }
  if (degradedTokens > 0) {
    lines.push(`${formatCount(degradedTokens)} tokens of the window come from a quantised block`);
  }
  if (check !== undefined) lines.push(describeCheck(check));
  if (biasedLayers.length > 0) {
    lines.push(`Outlying key biases: keys stay int8 or FP16 in layers ${biasedLayers.join(', ')}`);
  }
  return lines;
}

/** "Checked against FP16: divergence 0.012 nats, within 0.02; int4 missed the bound, int8 is used" */
function describeCheck({ asked, tier, divergence, bound }: CacheCheck): string {
  const where = divergence <= bound ? 'within' : 'above';
  const found = `Checked against FP16: divergence ${formatShort(divergence)} nats, ${where} ${formatShort(bound)}`;
  return tier === asked ? found : `${found}; ${asked} missed the bound, ${tier} is used`;
}

/**
 * "3 200 of 9 100 tokens of app.ts in sight; 5 900 left out at the start", or, where the file is also among those that
 * prompts start with, "All 9 100 tokens of app.ts in sight, 500 of them around the cursor"; then the other files.
 */
export function describeSight(sight: ContextInSight): string {
  const others = sight.files.filter(({ uri }) => uri !== sight.uri);
  if (others.length === 0) return describeDocument(sight);
  const files = others.map(({ uri, source, tokens, documentTokens }) => {
    const whole = tokens < documentTokens ? ` of ${formatCount(documentTokens)}` : '';
    return `${fileName(uri)} (${formatCount(tokens)}${whole}${sourceNames[source]})`;
  });
  return `${describeDocument(sight)}; also ${files.join(', ')}`;
}

const sourceNames: Readonly<Record<FileSource, string>> = {
  open: '',
  pinned: ', pinned',
  definition: ', defines names here',
  import: ', imported',
};

const reasons: Readonly<Record<FileLeftOut['reason'], string>> = {
  room: 'no room',
  duplicate: 'nearly the same as another',
  ignored: 'ignored',
  secret: 'may hold secrets',
  binary: 'binary',
  size: 'too large',
  missing: 'cannot be read',
  outside: 'outside the workspace',
};

/** The most files that are named of those left out. */
const namedLeftOut = 4;

/** "3 of 9 files in sight. Left out: b.ts (no room), ..., 2 more" */
function describeLeftOut({ uri, files, leftOut }: ContextInSight): string[] {
  if (leftOut.length === 0) return [];
  const seen = new Set([uri, ...files.map((file) => file.uri)]).size;
  const named = leftOut
    .slice(0, namedLeftOut)
    .map((file) => `${fileName(file.uri)} (${reasons[file.reason]})`);
  const rest = leftOut.length > namedLeftOut ? [`${leftOut.length - namedLeftOut} more`] : [];
  const all = seen + leftOut.length;
  return [`${seen} of ${all} files in sight. Left out: ${[...named, ...rest].join(', ')}`];
}

function describeDocument(sight: ContextInSight): string {
  const live = sight.prefixTokens + sight.suffixTokens;
  const whole = `${formatCount(sight.documentTokens)} tokens of ${fileName(sight.uri)}`;
  if (sight.omittedBefore + sight.omittedAfter === 0) return `All ${whole} in sight`;
  const settled = sight.files.find(({ uri }) => uri === sight.uri);
  if (settled !== undefined) {
    const around = `${formatCount(live)} of them around the cursor`;
    return settled.tokens >= settled.documentTokens
      ? `All ${whole} in sight, ${around}`
      : `${formatCount(Math.max(live, settled.tokens))} of ${whole} in sight, ${around}`;
  }
  const parts = [
    { tokens: sight.omittedBefore, where: 'at the start' },
    { tokens: sight.omittedAfter, where: 'at the end' },
  ]
    .filter(({ tokens }) => tokens > 0)
    .map(({ tokens, where }) => `${formatCount(tokens)} left out ${where}`);
  return `${formatCount(live)} of ${whole} in sight; ${parts.join(', ')}`;
}

function fileName(uri: string): string {
  const name = /[^/:]*$/.exec(uri.replace(/[?#].*$/, ''))?.[0] ?? uri;
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

/** Groups of three digits, with a space that does not break the line. */
const formatCount = (count: number): string =>
  String(Math.round(count)).replace(/\B(?=(?:\d{3})+$)/g, '\u00A0');

const formatBytes = (bytes: number): string => {
  const mebibytes = bytes / 1024 / 1024;
  if (mebibytes < 0.1) return `${Math.round(bytes / 1024)} KiB`;
  return `${mebibytes < 100 ? mebibytes.toFixed(1) : formatCount(mebibytes)} MiB`;
};

/** Two digits that count. */
const formatShort = (value: number): string => String(Number(value.toPrecision(2)));

const formatRatio = ({ bytes, fp16Bytes }: CacheStats): string =>
  `${(bytes > 0 ? fp16Bytes / bytes : 1).toFixed(1)}x`;

const formatSpeed = (what: string, tokensPerSecond: number | undefined): string | undefined =>
  tokensPerSecond === undefined
    ? undefined
    : `${what} ${tokensPerSecond < 100 ? tokensPerSecond.toFixed(1) : formatCount(tokensPerSecond)} tokens/s`;

const escapeMarkdown = (text: string): string => text.replace(/[\\`*_{}[\]()<>#+\-!|~$]/g, '\\$&');
