import '../../../support/page.ts';
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { render } from 'lit';
import { page, type View } from '../../../../../extension/memory/view/template.ts';
import type { MemoryMessages } from '../../../../../extension/memory/messages.ts';

type Said = MemoryMessages['fromPage'];

/** The page, and what it says to the host. */
function drawn(view: View): { root: HTMLElement; said: Said[] } {
  const root = document.createElement('div');
  const said: Said[] = [];
  const tell = (message: Said): void => {
    said.push(message);
  };
  render(page(view, { tell, saveFigure: () => undefined }), root);
  return { root, said };
}

const find = (root: HTMLElement, selector: string): HTMLElement => {
  const found = root.querySelector<HTMLElement>(selector);
  assert.ok(found, selector);
  return found;
};

const textOf = ({ textContent }: HTMLElement): string => textContent.replace(/\s+/g, ' ').trim();

describe('the banner of the memory view', () => {
  const banner = (status: NonNullable<View['status']>) => {
    const { root, said } = drawn({ status });
    const line = find(root, '.status');
    for (const button of line.querySelectorAll<HTMLElement>('vscode-button')) button.click();
    const commands = said.map((message) => (message.kind === 'run' ? message.command : ''));
    return { line, text: textOf(line), commands };
  };

  it('says why there is no model, aloud, and offers a restart and the log', () => {
    const message = '/m.gguf is no whole GGUF model. Download it again. [MODEL_INVALID]';
    for (const state of ['error', 'stopped'] as const) {
      const { line, text, commands } = banner({ state, message });
      assert.equal(text, `${message} Restart Sidecar Show Log`);
      assert.equal(line.getAttribute('role'), 'alert');
      assert.deepEqual(commands, ['sightline.restart', 'sightline.showLog']);
    }
  });

  it('warns aloud of what could be better, and says quietly what comes and goes', () => {
    const warning = banner({ state: 'warning', message: 'No fill-in-the-middle tokens.' });
    assert.equal(warning.line.getAttribute('role'), 'alert');
    assert.deepEqual(warning.commands, []);
    const loading = banner({ state: 'loading', fraction: 0.256, message: 'Loading m.gguf' });
    assert.equal(loading.text, 'Loading m.gguf 25 %');
    assert.equal(loading.line.getAttribute('role'), null);
  });
});

describe('the controls of the memory view', () => {
  const settings = { profile: 'small', apart: [], policy: 'selective', tier: 'int4', budgetMiB: 0 };
  const choices = {
    profile: [
      { value: 'balanced', description: 'Half.' },
      { value: 'small', description: 'A third.' },
    ],
    policy: [{ value: 'selective', description: 'In the tier.' }],
    tier: [{ value: 'int4', description: 'Four bits.' }],
  };
  const forecast = {
    tokens: [0, 4096],
    policies: [{ policy: 'full' as const, bytes: [0, 3 * 2 ** 20] }],
    profiles: [{ name: 'small' as const, bytes: 2 ** 20 }],
    overridden: [],
  };
  const controlOf = (view: View): string => {
    const control = find(drawn(view).root, '#profile').parentElement;
    assert.ok(control);
    return textOf(control).replaceAll('\u00A0', ' ');
  };

  it('choose a profile, and say what it takes', () => {
    const { root, said } = drawn({ settings, choices, forecast });
    const select = find(root, '#profile');
    assert.ok('value' in select);
    assert.equal(select.value, 'small');
    select.value = 'balanced';
    select.dispatchEvent(new window.Event('change'));
    assert.deepEqual(said, [{ kind: 'chooseProfile', profile: 'balanced' }]);
    assert.match(
      controlOf({ settings, choices, forecast }),
      /A third\.1\.0 MiB with 4 096 tokens, 3\.0x smaller than FP16$/,
    );
  });

  it('say what is set apart from the profile', () => {
    const apart = { ...settings, apart: ['policy', 'tier'] };
    assert.match(
      controlOf({ settings: apart, choices }),
      /A third\.Set apart from it: Policy, Tier of older tokens$/,
    );
    const overridden = { ...forecast, overridden: ['policy' as const] };
    assert.match(
      controlOf({ settings: { ...settings, apart: ['policy'] }, choices, forecast: overridden }),
      /than FP16Set apart from it: Policy$/,
    );
  });
});
