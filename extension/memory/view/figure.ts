import * as l10n from '@vscode/l10n';
import type UPlot from 'uplot';
import type { CachePolicyName, CacheStats, MemoryForecast } from '../../../sidecar/protocol.ts';
import { formatBytes, formatCount } from '../../format.ts';

/** How a policy's line is drawn: one can tell them apart without colours. */
interface LineStyle {
  readonly color: string;
  readonly dash: readonly number[];
}

const styles: Partial<Record<CachePolicyName, LineStyle>> = {
  full: { color: '--vscode-charts-red', dash: [] },
  selective: { color: '--vscode-charts-blue', dash: [8, 3] },
  compressed: { color: '--vscode-charts-green', dash: [2, 3] },
};
const otherStyle: LineStyle = { color: '--vscode-charts-purple', dash: [8, 3, 2, 3] };
export const styleOf = (policy: CachePolicyName): LineStyle => styles[policy] ?? otherStyle;

/** "now 4.2 MiB with 4 096 tokens" */
export const describeNow = ({ bytes, tokens }: CacheStats): string =>
  l10n.t('now {0} with {1} tokens', formatBytes(bytes), formatCount(tokens));

const sizeOf = ({ clientWidth, clientHeight }: HTMLElement) => ({
  width: clientWidth,
  height: clientHeight,
});

const themeColor = (name: string): string =>
  getComputedStyle(document.body).getPropertyValue(name).trim() || 'currentColor';

/** Steps between two marks, in bytes: people count memory in powers of two. */
const steps = Array.from({ length: 48 }, (_, i) => 2 ** i);

/** Draws memory over tokens into an element, as large as that is. */
export class Figure {
  readonly #library: typeof UPlot;
  readonly #parent: HTMLElement;
  readonly #hover: (index: number | undefined) => void;
  #plot: UPlot | undefined;
  #forecast: MemoryForecast | undefined;
  #stats: CacheStats | null = null;

  /** `hover` is told the index of the length that the mouse is over. */
  constructor(
    library: typeof UPlot,
    parent: HTMLElement,
    hover: (index: number | undefined) => void,
  ) {
    this.#library = library;
    this.#parent = parent;
    this.#hover = hover;
    new ResizeObserver(() => {
      this.#plot?.setSize(sizeOf(parent));
    }).observe(parent);
  }

  show(forecast: MemoryForecast, stats: CacheStats | null): void {
    this.#stats = stats;
    if (forecast === this.#forecast) this.redraw();
    else {
      this.#forecast = forecast;
      this.#plot?.destroy();
      this.#plot = this.#draw(forecast);
    }
  }

  /** Again, where colours or the point have changed. */
  redraw(): void {
    this.#plot?.redraw(false);
  }

  /** The figure with a title and a legend, as the base64 of a PNG; undefined before there is one. */
  image(): string | undefined {
    const plot = this.#plot;
    const forecast = this.#forecast;
    if (plot === undefined || forecast === undefined) return undefined;
    const { canvas } = plot.ctx;
    const scale = this.#library.pxRatio;
    const head = 48 * scale;
    const image = document.createElement('canvas');
    image.width = canvas.width;
    image.height = canvas.height + head;
    const context = image.getContext('2d');
    if (context === null) return undefined;
    context.fillStyle = themeColor('--vscode-editor-background');
    context.fillRect(0, 0, image.width, image.height);
    context.drawImage(canvas, 0, head);
    context.textBaseline = 'middle';
    context.lineWidth = 2 * scale;
    const foreground = themeColor('--vscode-foreground');
    const write = (text: string, x: number, y: number, weight: string): number => {
      context.font = `${weight} ${12 * scale}px sans-serif`;
      context.fillStyle = foreground;
      context.fillText(text, x, y);
      return x + context.measureText(text).width;
    };
    write(l10n.t('KV cache: memory over tokens'), 12 * scale, 14 * scale, 'bold');
    let x = 12 * scale;
    for (const { policy } of forecast.policies) {
      const { color, dash } = styleOf(policy);
      context.strokeStyle = themeColor(color);
      context.setLineDash(dash.map((length) => length * scale));
      context.beginPath();
      context.moveTo(x, 36 * scale);
      context.lineTo(x + 24 * scale, 36 * scale);
      context.stroke();
      x = write(policy, x + 30 * scale, 36 * scale, 'normal') + 18 * scale;
    }
    if (this.#stats !== null && this.#stats.tokens > 0) {
      context.beginPath();
      context.arc(x + 5 * scale, 36 * scale, 5 * scale, 0, 2 * Math.PI);
      context.fill();
      write(describeNow(this.#stats), x + 16 * scale, 36 * scale, 'normal');
    }
    return image.toDataURL('image/png').replace(/^[^,]*,/, '');
  }

  #draw({ tokens, policies }: MemoryForecast): UPlot {
    const axis = (): Partial<UPlot.Axis> => ({
      stroke: () => themeColor('--vscode-foreground'),
      grid: { stroke: () => themeColor('--vscode-charts-lines'), width: 0.5 },
      ticks: { stroke: () => themeColor('--vscode-charts-lines'), width: 0.5 },
      font: '11px sans-serif',
    });
    const options: UPlot.Options = {
      ...sizeOf(this.#parent),
      padding: [8, 16, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
      scales: { x: { time: false }, y: { range: (_plot, _least, most) => [0, most * 1.05] } },
      axes: [
        { ...axis(), values: (_plot, splits) => splits.map(formatCount), space: 64, size: 32 },
        { ...axis(), values: (_plot, splits) => splits.map(formatBytes), incrs: steps, size: 72 },
      ],
      series: [
        {},
        ...policies.map(({ policy }): UPlot.Series => {
          const { color, dash } = styleOf(policy);
          const isInUse = policy === this.#stats?.policy;
          return {
            label: policy,
            stroke: () => themeColor(color),
            width: isInUse ? 2.5 : 1.5,
            dash: [...dash],
            points: { show: false },
          };
        }),
      ],
      hooks: {
        draw: [
          (plot) => {
            this.#drawNow(plot);
          },
        ],
        setCursor: [
          ({ cursor }) => {
            this.#hover(cursor.idx ?? undefined);
          },
        ],
      },
    };
    return new this.#library(
      options,
      [[...tokens], ...policies.map(({ bytes }) => [...bytes])],
      this.#parent,
    );
  }

  /** What the cache takes now, and the budget where there is one. */
  #drawNow(plot: UPlot): void {
    const stats = this.#stats;
    if (stats === null) return;
    const { ctx, bbox } = plot;
    const scale = this.#library.pxRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    if (stats.budgetBytes > 0) {
      const y = plot.valToPos(stats.budgetBytes, 'y', true);
      ctx.strokeStyle = themeColor('--vscode-descriptionForeground');
      ctx.lineWidth = scale;
      ctx.setLineDash([3 * scale, 3 * scale]);
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
    }
    ctx.restore();
    if (stats.tokens === 0) return;
    ctx.save();
    ctx.fillStyle = themeColor('--vscode-foreground');
    ctx.strokeStyle = themeColor('--vscode-editor-background');
    ctx.lineWidth = 2 * scale;
    ctx.setLineDash([]);
    ctx.beginPath();
    ctx.arc(
      plot.valToPos(stats.tokens, 'x', true),
      plot.valToPos(stats.bytes, 'y', true),
      5 * scale,
      0,
      2 * Math.PI,
    );
    ctx.fill();
    ctx.stroke();
    ctx.restore();
  }
}
