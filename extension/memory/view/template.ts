import * as l10n from '@vscode/l10n';
import { html, nothing, type TemplateResult } from 'lit';
import { live } from 'lit/directives/live.js';
import '@vscode-elements/elements/dist/vscode-button/index.js';
import '@vscode-elements/elements/dist/vscode-icon/index.js';
import '@vscode-elements/elements/dist/vscode-label/index.js';
import '@vscode-elements/elements/dist/vscode-option/index.js';
import '@vscode-elements/elements/dist/vscode-single-select/index.js';
import '@vscode-elements/elements/dist/vscode-textfield/index.js';
import type { CacheStats, ContextInSight, MemoryForecast } from '../../../sidecar/protocol.ts';
import {
  describeCheck,
  describeHeld,
  describeLosses,
  describeProfile,
  describeReason,
  describeSight,
  describeSource,
  fileName,
} from '../../describe.ts';
import { formatBytes, formatCount, formatSpeed } from '../../format.ts';
import type { Choice, MemoryMessages, MemoryState } from '../messages.ts';
import { describeNow, styleOf } from './figure.ts';
import { parseBudget, segmentsOf, tableRows, usesTier } from './model.ts';

export interface Actions {
  readonly tell: (message: MemoryMessages['fromPage']) => void;
  readonly saveFigure: () => void;
}

/** What the page shows; what is undefined has not been told yet. */
export interface View extends Partial<MemoryState> {
  /** Index into the forecast's lengths that the mouse is over. */
  readonly hovered?: number | undefined;
}

type Html = TemplateResult | typeof nothing;

export function page(view: View, actions: Actions): Html {
  const { stats = null, forecast = null } = view;
  return html`<main>
    <h1 class="hidden">${l10n.t('Memory of the KV cache')}</h1>
    ${statusLine(view, actions)}
    <div class="column">
      ${section(l10n.t('KV cache'), account(stats, forecast))}
      ${section(
        l10n.t('Speed and quality'),
        speed(stats),
        button(actions, 'sightline.measureCache', 'beaker', l10n.t('Measure on This File')),
      )}
      ${section(
        l10n.t('Sequences'),
        sequences(stats),
        button(actions, 'sightline.clearCache', 'clear-all', l10n.t('Clear Cache')),
      )}
    </div>
    <div class="column">
      <section class="figure">
        <header>
          <h2>${l10n.t('Memory over tokens')}</h2>
          ${saveButtons(forecast, actions)}
        </header>
        ${legend(view)}
        <div
          id="plot"
          role="img"
          aria-label=${
            forecast === null ? l10n.t('No figure yet') : describeFigure(forecast, stats)
          }
        ></div>
        ${
          forecast === null
            ? html`<p class="hint">${l10n.t('The figure comes with the model.')}</p>`
            : figureTable(forecast)
        }
      </section>
      ${
        stats?.inSight === undefined
          ? section(
              l10n.t('In sight'),
              html`<p class="hint">${l10n.t('Nothing was completed yet.')}</p>`,
            )
          : section(
              l10n.t('In sight'),
              inSight(stats.inSight),
              button(actions, 'sightline.showContext', 'eye', l10n.t('Show Context')),
            )
      }
    </div>
    <div class="column">${section(l10n.t('Settings'), controls(view, actions))}</div>
  </main>`;
}

const section = (title: string, ...content: Html[]): Html =>
  html`<section>
    <h2>${title}</h2>
    ${content}
  </section>`;

function saveButtons(forecast: MemoryForecast | null, { tell, saveFigure }: Actions): Html {
  const save = (name: string, icon: string, title: string, click: () => void): Html =>
    html`<vscode-button
      secondary
      icon=${icon}
      ?disabled=${forecast === null}
      title=${title}
      @click=${click}
      >${name}</vscode-button
    >`;
  return html`${save('PNG', 'save', l10n.t('Save the figure as an image'), saveFigure)}
  ${save('CSV', 'table', l10n.t('Save the data as comma-separated values'), () => {
    tell({ kind: 'saveData' });
  })}`;
}

const button = (
  { tell }: Actions,
  command: Extract<MemoryMessages['fromPage'], { kind: 'run' }>['command'],
  icon: string,
  title: string,
): Html =>
  html`<vscode-button
    secondary
    icon=${icon}
    @click=${() => {
      tell({ kind: 'run', command });
    }}
    >${title}</vscode-button
  >`;

const statusIcons = {
  loading: 'loading',
  ready: 'eye',
  generating: 'sync',
  warning: 'warning',
  error: 'error',
  stopped: 'circle-slash',
} as const;

function statusLine({ status }: View, actions: Actions): Html {
  const { state, message } = status ?? { state: 'loading', message: '' };
  const isWrong = state === 'error' || state === 'stopped';
  const progress =
    status?.state === 'loading' && status.fraction > 0
      ? ` ${Math.floor(status.fraction * 100)} %`
      : '';
  // What comes and goes with every completion is not read out.
  const role = isWrong || state === 'warning' ? 'alert' : nothing;
  return html`<div class="status ${state}" role=${role}>
    <vscode-icon
      name=${statusIcons[state]}
      ?spin=${state === 'loading' || state === 'generating'}
    ></vscode-icon>
    <span>${message}${progress}</span>
    ${
      isWrong
        ? html`${button(actions, 'sightline.restart', 'debug-restart', l10n.t('Restart Sidecar'))}
          ${button(actions, 'sightline.showLog', 'output', l10n.t('Show Log'))}`
        : nothing
    }
  </div>`;
}

function account(stats: CacheStats | null, forecast: MemoryForecast | null): Html {
  if (stats === null) {
    return html`<p class="hint">${l10n.t('Nothing is cached before a model is loaded.')}</p>
      <div class="bar" aria-hidden="true"></div>`;
  }
  const segments = segmentsOf(stats, forecast);
  return html`
    <p class="headline">
      <strong>${formatBytes(stats.bytes)}</strong>
      <span>${describeHeld(stats)}</span>
    </p>
    <div
      class="bar"
      role="img"
      aria-label=${segments.map(({ label, bytes }) => `${label}: ${formatBytes(bytes)}`).join(', ')}
    >
      ${segments.map(
        ({ name, label, bytes }) =>
          html`<div
            class="segment tier-${name}"
            title="${label}: ${formatBytes(bytes)}"
            .style=${`flex-grow: ${bytes}`}
          ></div>`,
      )}
    </div>
    <table class="tiers">
      <caption class="hidden">
        ${l10n.t('Memory by tier')}
      </caption>
      ${head(l10n.t('Tier'), l10n.t('Tokens'), l10n.t('Memory'))}
      <tbody>
        ${segments.map(
          ({ name, label, tokens, bytes }) =>
            html`<tr>
              <th scope="row"><span class="swatch tier-${name}"></span>${label}</th>
              <td>${tokens === undefined ? '' : formatCount(tokens)}</td>
              <td>${formatBytes(bytes)}</td>
            </tr>`,
        )}
      </tbody>
    </table>
  `;
}

/** The first column is of texts, the others are of numbers. */
const head = (...titles: string[]): Html =>
  html`<thead>
    <tr>
      ${titles.map((title) => html`<th scope="col">${title}</th>`)}
    </tr>
  </thead>`;

function legend({ forecast, stats, hovered }: View): Html {
  if (!forecast) return nothing;
  const at = hovered ?? forecast.tokens.length - 1;
  return html`<ul class="legend">
    <li class="at">${l10n.t('with {0} tokens:', formatCount(forecast.tokens[at] ?? 0))}</li>
    ${forecast.policies.map(({ policy, bytes }) => {
      const { color, dash } = styleOf(policy);
      return html`<li class=${policy === stats?.policy ? 'in-use' : ''}>
        ${sample(`var(${color})`, dash)} ${policy} ${formatBytes(bytes[at] ?? 0)}
      </li>`;
    })}
    ${
      stats && stats.budgetBytes > 0
        ? html`<li>
            ${sample('var(--vscode-descriptionForeground)', [3, 3])}
            ${l10n.t('budget {0}', formatBytes(stats.budgetBytes))}
          </li>`
        : nothing
    }
    ${
      stats && stats.tokens > 0
        ? html`<li><span class="dot"></span>${describeNow(stats)}</li>`
        : nothing
    }
  </ul>`;
}

/** A piece of a line. */
const sample = (stroke: string, dash: readonly number[]): Html =>
  html`<svg width="24" height="8" aria-hidden="true">
    <line
      x1="0"
      y1="4"
      x2="24"
      y2="4"
      stroke=${stroke}
      stroke-width="2"
      stroke-dasharray=${dash.join(' ')}
    ></line>
  </svg>`;

/** What one sees at a glance, for those who do not. */
function describeFigure({ tokens, policies }: MemoryForecast, stats: CacheStats | null): string {
  const last = tokens.length - 1;
  const lines = policies
    .map(({ policy, bytes }) => `${policy} ${formatBytes(bytes[last] ?? 0)}`)
    .join(', ');
  const ends = l10n.t('Memory with {0} tokens: {1}.', formatCount(tokens[last] ?? 0), lines);
  if (stats === null) return ends;
  const now = [formatBytes(stats.bytes), formatCount(stats.tokens)] as const;
  return `${ends} ${l10n.t('Now {0} with {1} tokens.', ...now)}`;
}

function figureTable({ tokens, policies }: MemoryForecast): Html {
  return html`<details>
    <summary>${l10n.t('As a table')}</summary>
    <table>
      <caption class="hidden">
        ${l10n.t('Memory over tokens')}
      </caption>
      ${head(l10n.t('Tokens'), ...policies.map(({ policy }) => policy))}
      <tbody>
        ${tableRows(tokens.length).map(
          (row) =>
            html`<tr>
              <th scope="row">${formatCount(tokens[row] ?? 0)}</th>
              ${policies.map(({ bytes }) => html`<td>${formatBytes(bytes[row] ?? 0)}</td>`)}
            </tr>`,
        )}
      </tbody>
    </table>
  </details>`;
}

/** The value of the control that an event is of. */
const valueOf = ({ currentTarget }: Event): string =>
  currentTarget !== null && 'value' in currentTarget && typeof currentTarget.value === 'string'
    ? currentTarget.value
    : '';

function controls({ settings, choices, forecast }: View, { tell }: Actions): Html {
  const { profile = '', apart = [], policy = '', tier = '', budgetMiB = 0 } = settings ?? {};
  const select = (
    id: string,
    label: string,
    value: string,
    options: readonly Choice[],
    choose: (value: string) => void,
    ...hints: readonly (string | undefined)[]
  ): Html =>
    html`<div class="control">
      <vscode-label for=${id}>${label}</vscode-label>
      <vscode-single-select
        id=${id}
        .value=${live(value)}
        @change=${(event: Event) => {
          choose(valueOf(event));
        }}
      >
        ${options.map(
          (option) =>
            html`<vscode-option value=${option.value} description=${option.description}
              >${option.value}</vscode-option
            >`,
        )}
      </vscode-single-select>
      ${[options.find((option) => option.value === value)?.description, ...hints].map((hint) =>
        hint === undefined ? nothing : html`<p class="hint">${hint}</p>`,
      )}
    </div>`;
  const labels: Readonly<Record<string, string>> = {
    policy: l10n.t('Policy'),
    tier: l10n.t('Tier of older tokens'),
  };
  const first = new Set([...apart, ...(forecast?.overridden ?? [])]);
  const names = [...first].map((name) => labels[name] ?? name);
  return html`
    ${select(
      'profile',
      l10n.t('Profile'),
      profile,
      choices?.profile ?? [],
      (chosen) => {
        tell({ kind: 'chooseProfile', profile: chosen });
      },
      forecast ? describeProfile(profile, forecast) : undefined,
      names.length > 0 ? l10n.t('Set apart from it: {0}', names.join(', ')) : undefined,
    )}
    ${select('policy', l10n.t('Policy'), policy, choices?.policy ?? [], (chosen) => {
      tell({ kind: 'choosePolicy', policy: chosen });
    })}
    ${
      usesTier(policy)
        ? select('tier', l10n.t('Tier of older tokens'), tier, choices?.tier ?? [], (chosen) => {
            tell({ kind: 'chooseTier', tier: chosen });
          })
        : nothing
    }
    <div class="control">
      <vscode-label for="budget">${l10n.t('Budget in MiB')}</vscode-label>
      <vscode-textfield
        id="budget"
        type="number"
        min="0"
        max="1048576"
        step="1"
        .value=${String(budgetMiB)}
        @change=${(event: Event) => {
          const budget = parseBudget(valueOf(event));
          if (budget !== undefined) tell({ kind: 'setBudget', budgetMiB: budget });
        }}
      ></vscode-textfield>
      <p class="hint">
        ${l10n.t('The most that the caches of all windows may take together; 0 sets no bound.')}
      </p>
    </div>
  `;
}

function speed(stats: CacheStats | null): Html {
  const { prefillTokensPerSecond: prefill, decodeTokensPerSecond: decode, check } = stats ?? {};
  const losses = stats === null ? [] : describeLosses(stats);
  return html`<dl>
      <dt>${l10n.t('Prefill')}</dt>
      <dd>${prefill === undefined ? '–' : formatSpeed(prefill)}</dd>
      <dt>${l10n.t('Decode')}</dt>
      <dd>${decode === undefined ? '–' : formatSpeed(decode)}</dd>
    </dl>
    ${
      check === undefined
        ? html`<p class="hint">${l10n.t('This cache was not checked against FP16.')}</p>`
        : html`<p class="check">
            <vscode-icon name=${check.divergence <= check.bound ? 'pass' : 'warning'}></vscode-icon>
            <span>${describeCheck(check)}</span>
          </p>`
    }
    ${losses.map(
      (loss) =>
        html`<p class="check"><vscode-icon name="info"></vscode-icon><span>${loss}</span></p>`,
    )}`;
}

function sequences(stats: CacheStats | null): Html {
  const rows = stats?.sequences ?? [];
  if (rows.length === 0) return html`<p class="hint">${l10n.t('There is none yet.')}</p>`;
  const names = { completion: l10n.t('completions'), chat: l10n.t('chat') };
  return html`<table>
    <caption class="hidden">
      ${l10n.t('Sequences in the cache')}
    </caption>
    ${head(l10n.t('Sequence'), l10n.t('Tokens'), l10n.t('Memory'), l10n.t('Shared'))}
    <tbody>
      ${rows.map(
        ({ name, tokens, bytes, sharedBytes }) =>
          html`<tr>
            <th scope="row">${names[name]}</th>
            <td>${formatCount(tokens)}</td>
            <td>${formatBytes(bytes)}</td>
            <td>${formatBytes(sharedBytes)}</td>
          </tr>`,
      )}
    </tbody>
  </table>`;
}

function inSight(sight: ContextInSight): Html {
  const { files, leftOut } = sight;
  return html`<p>
      ${describeSight({ ...sight, files: files.filter(({ uri }) => uri === sight.uri) })}
    </p>
    ${
      files.length === 0 && leftOut.length === 0
        ? nothing
        : html`<table class="files">
            <caption class="hidden">
              ${l10n.t('Files that the model sees, and files that it does not')}
            </caption>
            ${head(l10n.t('File'), l10n.t('Tokens'), l10n.t('Why'))}
            <tbody>
              ${files.map(
                ({ uri, tokens, documentTokens, source }) =>
                  html`<tr>
                    <th scope="row" title=${uri}>${fileName(uri)}</th>
                    <td>
                      ${
                        tokens < documentTokens
                          ? l10n.t('{0} of {1}', formatCount(tokens), formatCount(documentTokens))
                          : formatCount(tokens)
                      }
                    </td>
                    <td>${describeSource(source)}</td>
                  </tr>`,
              )}
              ${leftOut.map(
                ({ uri, reason }) =>
                  html`<tr class="left-out">
                    <th scope="row" title=${uri}>${fileName(uri)}</th>
                    <td>–</td>
                    <td>${l10n.t('left out: {0}', describeReason(reason))}</td>
                  </tr>`,
              )}
            </tbody>
          </table>`
    }`;
}
