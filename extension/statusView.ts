import * as l10n from '@vscode/l10n';
import type { CacheStats, SidecarStatus } from '../sidecar/protocol.ts';
import {
  describeCheck,
  describeLeftOut,
  describeLosses,
  describeSight,
  describeTier,
} from './describe.ts';
import { formatBytes, formatCount, formatRatio, formatSpeed } from './format.ts';

/** What the sidecar is doing, or that there is none. */
export type Status = SidecarStatus | { readonly state: 'stopped'; readonly message: string };

/** What the status bar item shows; `tooltip` is Markdown. */
export interface StatusView {
  readonly text: string;
  /** The same without icons, for screen readers. */
  readonly label: string;
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

/** The commands that the tooltip has links to, by what they are called there. */
const links = () => ({
  'sightline.showMemory': l10n.t('Show Memory'),
  'sightline.showContext': l10n.t('Show Context'),
  'sightline.restart': l10n.t('Restart Sidecar'),
  'sightline.showLog': l10n.t('Show Log'),
});

export const linkedCommands: readonly string[] = Object.keys(links());

/** Draws the status and the cache's account, once there is anything in the cache. */
export function statusView(status: Status, latest: CacheStats | undefined): StatusView {
  const stats = latest?.tokens === 0 ? undefined : latest;
  const text = summary(status, stats);
  return {
    text: `${icons[status.state]} ${text}`,
    label:
      stats === undefined
        ? `Sightline: ${status.message}`
        : `Sightline: ${text}. ${status.message}`,
    tooltip: [
      `**Sightline** — ${escapeMarkdown(status.message)}`,
      ...(stats === undefined ? [] : details(stats)),
      Object.entries(links())
        .map(([command, title]) => `[${title}](command:${command})`)
        .join(' · '),
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
  const tokens = l10n.t('{0} tokens', formatCount(stats.tokens));
  return `${formatBytes(stats.bytes)} · ${tokens} · ${formatRatio(stats)}`;
}

function details(stats: CacheStats): string[] {
  const { check, inSight, prefillTokensPerSecond: prefill, decodeTokensPerSecond: decode } = stats;
  const rows = [
    ...stats.tiers.map((tier) => [describeTier(tier.name), tier.tokens, tier.bytes] as const),
    [`**${l10n.t('KV cache')}**`, stats.tokens, stats.bytes] as const,
    [l10n.t('as FP16'), stats.tokens, stats.fp16Bytes] as const,
  ];
  const speeds = [
    ...(prefill === undefined ? [] : [l10n.t('prefill {0}', formatSpeed(prefill))]),
    ...(decode === undefined ? [] : [l10n.t('decode {0}', formatSpeed(decode))]),
  ];
  const leftOut = inSight && describeLeftOut(inSight);
  return [
    [
      `| ${stats.policy} | ${l10n.t('tokens')} | ${l10n.t('memory')} |`,
      '|:--|--:|--:|',
      ...rows.map(
        ([name, tokens, bytes]) => `| ${name} | ${formatCount(tokens)} | ${formatBytes(bytes)} |`,
      ),
    ].join('\n'),
    [
      l10n.t('{0} smaller than FP16', formatRatio(stats)),
      l10n.t(
        '{0} of {1} tokens of context in use',
        formatCount(stats.tokens),
        formatCount(stats.contextTokens),
      ),
    ].join(' · '),
    ...(check === undefined ? [] : [describeCheck(check)]),
    ...describeLosses(stats),
    ...(inSight === undefined ? [] : [escapeMarkdown(describeSight(inSight))]),
    ...(leftOut === undefined ? [] : [escapeMarkdown(leftOut)]),
    ...(speeds.length === 0 ? [] : [speeds.join(' · ')]),
  ];
}

const escapeMarkdown = (text: string): string => text.replace(/[\\`*_{}[\]()<>#+\-!|~$]/g, '\\$&');
