import * as l10n from '@vscode/l10n';
import type { CacheQuality } from '../../sidecar/protocol.ts';
import { fileName } from '../describe.ts';
import { formatBytes, formatCount, formatRatio, formatShare, formatShort } from '../format.ts';

/** Mean divergences, in nats, up to which a cache is as good as FP16, and up to which one notices little. */
const grades = { same: 0.02, close: 0.1 };

/** What a measurement found, as Markdown: the verdict, the numbers, and what they mean. */
export function describeQuality(quality: CacheQuality): string {
  const { tokens, documentTokens, policy } = quality;
  const compared = formatCount(tokens);
  const worse = quality.perplexity / quality.fp16Perplexity - 1;
  const rows = [
    [
      l10n.t('Perplexity'),
      quality.perplexity.toPrecision(4),
      quality.fp16Perplexity.toPrecision(4),
    ],
    [l10n.t('Memory'), formatBytes(quality.bytes), formatBytes(quality.fp16Bytes)],
    [l10n.t('Mean divergence'), l10n.t('{0} nats', formatShort(quality.divergence)), '0'],
    [l10n.t('99 % of divergences'), l10n.t('{0} nats', formatShort(quality.divergence99)), '0'],
    [l10n.t('Same likeliest token'), formatShare(quality.sameTop), '100 %'],
  ];
  return [
    `# ${l10n.t('Cache quality: {0}', fileName(quality.uri))}`,
    `**${verdict(quality)}**`,
    tokens < documentTokens
      ? l10n.t(
          'Measured on the first {0} of {1} tokens, with the policy {2}.',
          compared,
          formatCount(documentTokens),
          policy,
        )
      : l10n.t('Measured on all {0} tokens, with the policy {1}.', compared, policy),
    [
      `| | ${l10n.t('this cache')} | FP16 |`,
      '|:--|--:|--:|',
      ...rows.map((cells) => `| ${cells.join(' | ')} |`),
    ].join('\n'),
    `## ${l10n.t('What the numbers mean')}`,
    [
      l10n.t(
        '- **Perplexity**: among how many equally likely tokens the model hesitates, on average, at each token of the file. With this cache it is {0} than with FP16.',
        describeChange(worse),
      ),
      l10n.t(
        '- **Memory**: what the keys and values of these tokens take. This cache is {0} smaller.',
        formatRatio(quality),
      ),
      l10n.t(
        '- **Divergence** (Kullback-Leibler): how far what the model expects next is from what it expects with FP16. 0 is no difference; up to {0} nats nobody sees one. Of 100 positions, 99 are below the second number.',
        grades.same,
      ),
      l10n.t('- **Same likeliest token**: how often both caches would write the same token next.'),
    ].join('\n'),
    '',
  ].join('\n\n');
}

function verdict({ policy, divergence }: CacheQuality): string {
  if (policy === 'full') return l10n.t('Nothing is lost: this cache holds every token in FP16.');
  if (divergence <= grades.same) {
    return l10n.t('As good as FP16 on this file.');
  }
  if (divergence <= grades.close) {
    return l10n.t(
      'Close to FP16 on this file: some completions differ. A tier with more bits, or a longer window, comes closer.',
    );
  }
  return l10n.t(
    'Clearly worse than FP16 on this file. Choose a tier with more bits, or a policy that keeps every token, under "Sightline: Show Memory".',
  );
}

/** "0.3 % higher" */
function describeChange(change: number): string {
  const share = formatShort(Math.abs(change) * 100);
  return change >= 0 ? l10n.t('{0} % higher', share) : l10n.t('{0} % lower', share);
}
