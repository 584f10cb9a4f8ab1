import type { Verdict } from '../verdicts.ts';
import { figure, interval } from './figures.ts';
import { divergencePlot, memoryPlot, needleLossPlot, needlePlot, speedPlot } from './plots.ts';
import type { Report } from './report.ts';
import { columns } from './table.ts';

/** Markup that is not to be escaped again. */
class Markup {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

type Piece = string | number | Markup | undefined | readonly Piece[];

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function markupOf(piece: Piece): string {
  if (piece === undefined) return '';
  if (piece instanceof Markup) return piece.text;
  if (typeof piece === 'object') return piece.map(markupOf).join('');
  return String(piece).replace(/[&<>"']/g, (sign) => entities[sign] ?? sign);
}

/** Everything between the braces is text, unless it is markup already. */
const html = (strings: TemplateStringsArray, ...pieces: readonly Piece[]): Markup =>
  new Markup(strings.map((text, index) => text + markupOf(pieces[index])).join(''));

const style = new Markup(`
  :root { color-scheme: light dark; }
  body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
  table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
  .wide { overflow-x: auto; }
  th, td { padding: 0.2rem 0.6rem; border-bottom: 1px solid #8884; text-align: right; white-space: nowrap; }
  th:first-child, td:first-child { text-align: left; }
  td small { display: block; opacity: 0.7; }
  .met::before { content: "✓ "; color: #00824f; }
  .missed::before { content: "✗ "; color: #c0392b; }
  .unclear::before { content: "? "; color: #9a6b00; }
  figure { margin: 1rem 0; overflow-x: auto; }
  figure svg { background: #fff; }
  code { overflow-wrap: anywhere; }
`);

const row = (cells: readonly Piece[]): Markup =>
  html`<tr>
    ${cells.map((cell) => html`<td>${cell}</td>`)}
  </tr>`;

const tableOf = (report: Report, context: number): Markup => {
  const rows = report.rows.filter((one) => one.context === context);
  const filled = columns.filter(
    ({ cell, name }) => name === 'cache' || rows.some((one) => cell(one) !== '–'),
  );
  return html`<div class="wide">
    <table>
      <tr>
        ${filled.map(({ name, title }) => html`<th scope="col" title="${title}">${name}</th>`)}
      </tr>
      ${rows.map((one) =>
        row(
          filled.map(({ cell, detail }) => {
            const more = detail?.(one);
            return [cell(one), more === undefined ? undefined : html`<small>${more}</small>`];
          }),
        ),
      )}
    </table>
  </div>`;
};

const verdictRow = ({
  claim,
  cache,
  context,
  figure: found,
  unit,
  bound,
  verdict,
}: Verdict): Markup =>
  row([
    claim,
    cache,
    context,
    [figure(found.value), ' ', unit, html`<small>${interval(found)}</small>`],
    `${bound} ${unit}`,
    html`<span class="${verdict}">${verdict}</span>`,
  ]);

const plot = (title: string, caption: string, svg: string | undefined): Markup | undefined =>
  svg === undefined
    ? undefined
    : html`<section>
        <h2>${title}</h2>
        <p>${caption}</p>
        <figure role="img" aria-label="${title}">${new Markup(svg)}</figure>
      </section>`;

/** One page with everything in it: no scripts, and nothing from elsewhere. */
export function htmlReport(report: Report): string {
  const { model, machine, corpus } = report;
  const contexts = [...new Set(report.rows.map(({ context }) => context))];
  const needles = [1, 4, 16];
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width" />
        <meta
          http-equiv="Content-Security-Policy"
          content="default-src 'none'; style-src 'unsafe-inline'"
        />
        <title>KV caches of ${model.name}</title>
        <style>
          ${style}
        </style>
      </head>
      <body>
        <h1>KV caches of ${model.name}</h1>
        <p>
          ${model.architecture}, ${figure(model.parameters / 1e6)} million parameters, trained with
          ${model.trainedTokens} tokens of context; ${machine.gpu ?? machine.cpu},
          ${machine.threads} thread(s), ${machine.kernels} kernels; ${report.when.slice(0, 10)}.
        </p>
        <p><code>${report.command}</code></p>
        ${report.complete ? undefined : html`<p><strong>Not all that was asked for has been measured: the same command goes on.</strong></p>`}
        ${report.refused.map(({ cache, reason }) => html`<p><strong>${cache}</strong> was not measured: ${reason}</p>`)}
        <h2>Verdicts</h2>
        <div class="wide">
          <table>
            <tr>
              <th scope="col">claim</th>
              <th scope="col">cache</th>
              <th scope="col">context</th>
              <th scope="col">measured (95 %)</th>
              <th scope="col">bound</th>
              <th scope="col">verdict</th>
            </tr>
            ${report.verdicts.map(verdictRow)}
          </table>
        </div>
        ${contexts.map(
          (context) =>
            html`<h2>${context} tokens of context</h2>
              ${tableOf(report, context)}`,
        )}
        <p>
          All caches read the same text, whatever they would have written (teacher forcing); the
          second half of each context is scored. Small figures are intervals of 95 % confidence, by
          paired bootstrap over the contexts.
        </p>
        ${plot('Memory', 'What the cache takes as it grows, by the engine’s own account.', memoryPlot(report))}
        ${plot('Divergence', 'Mean Kullback-Leibler divergence from the full cache over the position in the longest context. The window is FP16: what comes early is the same.', divergencePlot(report))}
        ${needles.map((count) => plot(count === 1 ? 'One needle' : `${count} needles`, 'Percent of constants, out of every window, whose value is likelier at the end of the context than seven others.', needlePlot(report, count)))}
        ${plot('Values of needles', 'Nats by which the values of all these constants are less likely than with the full cache. A model that is too small to find them still expects them more where it can see them.', needleLossPlot(report))}
        ${plot('Speed', 'Decoding with so many tokens in the cache; the machine was as busy as it was. Ratios, which were taken in turn, are in the tables.', speedPlot(report))}
        <h2>Text</h2>
        <p>
          ${corpus.files} files, ${corpus.tokens} tokens were read; SHA-256 of all files
          <code>${corpus.sha256}</code>.
          ${corpus.sources.length === 0 ? undefined : `Of ${corpus.sources.join(', ')}.`}
        </p>
      </body>
    </html> `;
  return page.text;
}
