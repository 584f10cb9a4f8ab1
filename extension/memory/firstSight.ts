import * as l10n from '@vscode/l10n';
import type { CacheStats } from '../../sidecar/protocol.ts';
import { describeHeld, describeTier } from '../describe.ts';
import { formatBytes, formatCount } from '../format.ts';
import type { Status } from '../statusView.ts';
import { escapeHtml } from '../webview/html.ts';

/** The numbers as they are known, in the places where the page will draw them, as HTML: what is seen before any script runs. */
export function firstSight(status: Status, stats: CacheStats | undefined): string {
  return `<main aria-busy="true">
<div class="status ${status.state}"><span>${escapeHtml(status.message)}</span></div>
<div class="column"><section><h2>${escapeHtml(l10n.t('KV cache'))}</h2>
${stats === undefined ? `<p class="hint">${escapeHtml(l10n.t('Nothing is cached before a model is loaded.'))}</p>` : account(stats)}
</section></div>
</main>`;
}

function account(stats: CacheStats): string {
  const rows = stats.tiers.map(
    ({ name, tokens, bytes }) =>
      `<tr><th scope="row"><span class="swatch tier-${escapeHtml(name)}"></span>${escapeHtml(describeTier(name))}</th><td>${formatCount(tokens)}</td><td>${formatBytes(bytes)}</td></tr>`,
  );
  const titles = [l10n.t('Tier'), l10n.t('Tokens'), l10n.t('Memory')].map(
    (title) => `<th scope="col">${escapeHtml(title)}</th>`,
  );
  return `<p class="headline"><strong>${formatBytes(stats.bytes)}</strong> <span>${escapeHtml(describeHeld(stats))}</span></p>
<div class="bar" aria-hidden="true"></div>
<table class="tiers"><thead><tr>${titles.join('')}</tr></thead><tbody>${rows.join('')}</tbody></table>`;
}
