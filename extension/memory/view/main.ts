import { connect } from '../../webview/view/host.ts';
import * as l10n from '@vscode/l10n';
import { html, render } from 'lit';
import type { MemoryMessages } from '../messages.ts';
import './memory.css';

function draw(message?: MemoryMessages['toPage']): void {
  const tokens = message?.stats?.tokens ?? 0;
  render(
    html`<h1>${l10n.t('Memory')}</h1>
      <p>${l10n.t('{0} tokens', tokens)}</p>`,
    document.body,
  );
}

draw();
const tell = connect<MemoryMessages>(draw);
tell({ kind: 'ready' });
