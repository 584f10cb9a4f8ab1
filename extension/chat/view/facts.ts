import * as l10n from '@vscode/l10n';
import { html, nothing, type TemplateResult } from 'lit';
import { describeReason, describeSource, describeTier, fileName } from '../../describe.ts';
import { formatBytes, formatCount, formatSpeed } from '../../format.ts';
import type { AnswerFacts } from '../messages.ts';

const seconds = (value: number): string =>
  value < 10 ? value.toFixed(2) : formatCount(Math.round(value));

/** "First token after 0.21 s · 43.1 tokens/s · 5 120 prompt tokens, 5 000 of them from the cache · 1 file left out" */
function summaryOf(facts: AnswerFacts): string {
  const { promptTokens, reusedTokens, leftOut, omittedMessages } = facts.context;
  return [
    l10n.t('First token after {0} s', seconds(facts.firstTokenSeconds)),
    ...(facts.decodeTokensPerSecond === undefined
      ? []
      : [formatSpeed(facts.decodeTokensPerSecond)]),
    l10n.t(
      '{0} prompt tokens, {1} of them from the cache',
      formatCount(promptTokens),
      formatCount(reusedTokens),
    ),
    ...(leftOut.length === 0
      ? []
      : [
          leftOut.length === 1
            ? l10n.t('1 file left out')
            : l10n.t('{0} files left out', leftOut.length),
        ]),
    ...(omittedMessages === 0
      ? []
      : [
          omittedMessages === 1
            ? l10n.t('1 earlier message left out')
            : l10n.t('{0} earlier messages left out', omittedMessages),
        ]),
  ].join(' · ');
}

/** A quiet line under an answer, with all that is known of it behind it. */
export function drawFacts(facts: AnswerFacts): TemplateResult {
  const { context, tiers } = facts;
  const { files, attachments, leftOut } = context;
  const row = (name: string, value: string): TemplateResult =>
    html`<tr>
      <th scope="row">${name}</th>
      <td>${value}</td>
    </tr>`;
  const group = (
    title: string,
    rows: readonly TemplateResult[],
  ): TemplateResult | typeof nothing =>
    rows.length === 0
      ? nothing
      : html`<table>
          <caption>
            ${title}
          </caption>
          <tbody>
            ${rows}
          </tbody>
        </table>`;
  return html`<details class="facts">
    <summary>${summaryOf(facts)}</summary>
    ${group(l10n.t('Tokens'), [
      row(
        l10n.t('Prompt'),
        l10n.t('{0} of {1}', formatCount(context.promptTokens), formatCount(context.contextTokens)),
      ),
      row(l10n.t('From the cache'), formatCount(context.reusedTokens)),
      row(l10n.t('Answer'), formatCount(facts.generatedTokens)),
      ...(facts.prefillTokensPerSecond === undefined
        ? []
        : [row(l10n.t('Prefill'), formatSpeed(facts.prefillTokensPerSecond))]),
      ...(facts.decodeTokensPerSecond === undefined
        ? []
        : [row(l10n.t('Decode'), formatSpeed(facts.decodeTokensPerSecond))]),
      ...(context.omittedMessages === 0
        ? []
        : [row(l10n.t('Earlier messages left out'), formatCount(context.omittedMessages))]),
    ])}
    ${group(
      l10n.t('Cache'),
      tiers.map((tier) =>
        row(
          describeTier(tier.name),
          l10n.t('{0} tokens, {1}', formatCount(tier.tokens), formatBytes(tier.bytes)),
        ),
      ),
    )}
    ${group(
      l10n.t('Files in sight'),
      files.map((file) =>
        row(
          fileName(file.uri),
          `${l10n.t('{0} of {1} tokens', formatCount(file.tokens), formatCount(file.documentTokens))}, ${describeSource(file.source)}`,
        ),
      ),
    )}
    ${group(
      l10n.t('Attachments'),
      attachments.map((one) =>
        row(
          fileName(one.uri),
          `${l10n.t('{0} of {1} tokens', formatCount(one.tokens), formatCount(one.documentTokens))}, ${one.inCache ? l10n.t('from the cache') : l10n.t('read for this answer')}`,
        ),
      ),
    )}
    ${group(
      l10n.t('Left out'),
      leftOut.map((one) => row(fileName(one.uri), describeReason(one.reason))),
    )}
  </details>`;
}
