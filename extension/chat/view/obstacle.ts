import * as l10n from '@vscode/l10n';
import { html, nothing, type TemplateResult } from 'lit';
import type { ChatMessages, Obstacle } from '../messages.ts';
import { icon } from './chips.ts';

type Tell = (message: ChatMessages['fromPage']) => void;

/** What keeps the model from answering, and what to do about it; nothing while it may come yet. */
export function drawObstacle(
  obstacle: Obstacle,
  model: string,
  tell: Tell,
): TemplateResult | typeof nothing {
  const button = (kind: 'settings' | 'restart', title: string): TemplateResult =>
    html`<button
      type="button"
      class="link"
      @click=${() => {
        tell({ kind });
      }}
    >
      ${title}
    </button>`;
  const settings = button('settings', l10n.t('Choose another model'));
  switch (obstacle) {
    case 'none':
    case 'loading':
      return nothing;
    case 'noTemplate':
      return html`<p class="obstacle">
        ${icon('warning')}
        <span
          >${l10n.t(
            '{0} completes code, but has no template for conversations. Use an "instruct" model for the chat.',
            model,
          )}
          ${settings}</span
        >
      </p>`;
    case 'noModel':
      return html`<p class="obstacle">
        ${icon('error')}
        <span
          >${l10n.t('No model is loaded; the status bar says why.')} ${settings}
          ${button('restart', l10n.t('Restart'))}</span
        >
      </p>`;
  }
}
