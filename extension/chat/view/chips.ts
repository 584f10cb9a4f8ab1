import * as l10n from '@vscode/l10n';
import { html, nothing, type TemplateResult } from 'lit';
import { describeReason } from '../../describe.ts';
import { formatCount } from '../../format.ts';
import type { AnswerFacts, Chip } from '../messages.ts';

const icons = { file: 'file', selection: 'list-selection', folder: 'folder' } as const;

export const icon = (name: string): TemplateResult =>
  html`<span class="codicon codicon-${name}" aria-hidden="true"></span>`;

/** What became of an attachment, in a word; undefined before an answer tells. */
function fateOf(
  chip: Chip,
  facts: AnswerFacts | undefined,
): { readonly text: string; readonly icon: 'database' | 'pass' | 'warning' } | undefined {
  if (facts === undefined) return undefined;
  const isOf = ({ uri }: { readonly uri: string }): boolean =>
    uri === chip.uri || (chip.kind === 'folder' && uri.startsWith(`${chip.uri}/`));
  const seen = facts.context.attachments.filter(isOf);
  const leftOut = facts.context.leftOut.filter(isOf);
  if (chip.kind === 'folder' && seen.length + leftOut.length > 0) {
    const cached = seen.filter(({ inCache }) => inCache).length;
    return {
      text: l10n.t(
        '{0} of {1} files in sight, {2} from the cache',
        seen.length,
        seen.length + leftOut.length,
        cached,
      ),
      icon: leftOut.length > 0 ? 'warning' : 'pass',
    };
  }
  const [one] = seen;
  if (one !== undefined) {
    const share =
      one.tokens < one.documentTokens
        ? `${l10n.t('{0} of {1} tokens', formatCount(one.tokens), formatCount(one.documentTokens))}, `
        : '';
    return one.inCache
      ? { text: share + l10n.t('from the cache'), icon: 'database' }
      : { text: share + l10n.t('read for this answer'), icon: 'pass' };
  }
  const [out] = leftOut;
  return out === undefined
    ? undefined
    : { text: l10n.t('left out: {0}', describeReason(out.reason)), icon: 'warning' };
}

function costOf({ tokens, files, problem }: Chip): string | undefined {
  if (problem !== undefined) return problem;
  if (tokens === undefined) return undefined;
  const count = l10n.t('{0} tokens', formatCount(tokens));
  return files === undefined
    ? count
    : l10n.t('{0} of {1} files, {2}', files.taken, files.all, count);
}

/** An attachment: a click shows it, and the cross takes it away where there is something to take it from. */
export function drawChip(
  chip: Chip,
  open: (key: string) => void,
  facts: AnswerFacts | undefined,
  remove?: (key: string) => void,
): TemplateResult {
  const cost = costOf(chip);
  const fate = fateOf(chip, facts);
  const details = [cost, fate?.text].filter((text) => text !== undefined);
  return html`<li class="chip ${chip.problem === undefined ? '' : 'problem'}">
    <button
      type="button"
      class="name"
      title=${[chip.path, ...details].join('\n')}
      @click=${() => {
        open(chip.key);
      }}
    >
      ${icon(icons[chip.kind])}<span>${chip.name}</span> ${
        details.length === 0
          ? nothing
          : html`<span class="cost"
              >${fate === undefined ? nothing : icon(fate.icon)}${details.join(', ')}</span
            >`
      }
    </button>
    ${
      remove === undefined
        ? nothing
        : html`<button
            type="button"
            class="icon"
            aria-label=${l10n.t('Remove {0}', chip.name)}
            title=${l10n.t('Remove {0}', chip.name)}
            @click=${() => {
              remove(chip.key);
            }}
          >
            ${icon('close')}
          </button>`
    }
  </li>`;
}
