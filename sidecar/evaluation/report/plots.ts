/** Figures as SVG, drawn without a browser. */
import { HeatmapChart, LineChart } from 'echarts/charts';
import { GridComponent, LegendComponent, VisualMapComponent } from 'echarts/components';
import { init, use, type EChartsCoreOption } from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';
import { positions } from '../predictions.ts';
import type { Row } from '../summary.ts';
import type { Report } from './report.ts';

use([HeatmapChart, LineChart, GridComponent, LegendComponent, VisualMapComponent, SVGRenderer]);

const width = 820;

/** Told apart by people who do not see all colours (Okabe and Ito). */
const palette =
  '#0072b2 #d55e00 #009e73 #cc79a7 #e69f00 #56b4e9 #000000 #8c6d31 #7b4173 #637939'.split(' ');
const dashes = ['solid', 'dashed', 'dotted'] as const;

function draw(height: number, option: EChartsCoreOption): string {
  const chart = init(null, null, { renderer: 'svg', ssr: true, width, height });
  chart.setOption({
    animation: false,
    color: palette,
    textStyle: { fontFamily: 'system-ui, sans-serif' },
    ...option,
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

interface Line {
  readonly name: string;
  readonly points: readonly (readonly [number, number])[];
}

function lines(
  all: readonly Line[],
  x: string,
  y: { readonly name: string; readonly log: boolean },
): string {
  return draw(420, {
    grid: { left: 80, right: 30, top: 92, bottom: 48 },
    legend: { type: 'plain', top: 4 },
    xAxis: { type: 'value', name: x, nameLocation: 'middle', nameGap: 28, min: 0 },
    yAxis: {
      type: y.log ? 'log' : 'value',
      name: y.name,
      ...(y.log ? { axisLabel: { formatter: (value: number) => value.toExponential(0) } } : {}),
    },
    series: all.map(({ name, points }, index) => ({
      type: 'line',
      name,
      data: points,
      lineStyle: { type: dashes[Math.floor(index / palette.length) % dashes.length] },
      symbolSize: points.length > 12 ? 3 : 6,
    })),
  });
}

/** Undefined where there is nothing to draw. */
export const memoryPlot = ({ memory }: Report): string | undefined =>
  memory.policies.length === 0
    ? undefined
    : lines(
        memory.policies.map(({ policy, bytes }) => ({
          name: policy,
          points: bytes.map(
            (value, index) => [memory.tokens[index] ?? 0, value / 2 ** 20] as const,
          ),
        })),
        'tokens',
        { name: 'MiB', log: false },
      );

/** Of the longest context that was compared. */
export function divergencePlot({ rows }: Report): string | undefined {
  const compared = rows.filter(({ predictions }) => predictions !== undefined);
  const longest = Math.max(...compared.map(({ context }) => context));
  const drawn = compared
    .filter(({ context }) => context === longest)
    .map(({ cache, predictions }) => ({
      name: cache,
      // What is next to nothing has no place on a logarithmic axis.
      points: (predictions?.byPosition ?? []).flatMap((value, part) =>
        value > 1e-7 ? [[((part + 0.5) * longest) / positions, value] as const] : [],
      ),
    }))
    .filter(({ points }) => points.length > 0);
  if (drawn.length === 0) return undefined;
  return lines(drawn, 'position in the context', { name: 'nats', log: true });
}

export function speedPlot({ rows }: Report): string | undefined {
  const caches = [...new Set(rows.filter(({ speed }) => speed).map(({ cache }) => cache))];
  if (caches.length === 0) return undefined;
  const drawn = caches.map((cache) => ({
    name: cache,
    points: rows.flatMap((row) =>
      row.cache === cache && row.speed ? [[row.context, row.speed.tokensPerSecond] as const] : [],
    ),
  }));
  return lines(drawn, 'tokens in the cache', { name: 'tokens/s', log: false });
}

interface Shades {
  readonly min: number;
  readonly max: number;
  /** What the ends are called, the upper one first. */
  readonly ends: readonly [string, string];
  readonly label: (value: number) => string;
}

/** Needles by depth, a line for each cache and length of context. */
function depthPlot(
  { rows }: Report,
  byDepthOf: (retrieval: NonNullable<Row['retrieval']>) => readonly number[] | undefined,
  { min, max, ends, label }: Shades,
): string | undefined {
  const asked = rows.flatMap(({ cache, context, retrieval }) => {
    const byDepth = retrieval && byDepthOf(retrieval);
    return byDepth === undefined ? [] : [{ name: `${cache}, ${context}`, byDepth }];
  });
  if (asked.length === 0) return undefined;
  const depths = Math.max(...asked.map(({ byDepth }) => byDepth.length));
  const names = asked.map(({ name }) => name).reverse();
  return draw(90 + 20 * asked.length, {
    grid: { left: 170, right: 90, top: 10, bottom: 48 },
    xAxis: {
      type: 'category',
      data: Array.from(
        { length: depths },
        (_, depth) => `${Math.round((100 * depth) / (depths - 1))} %`,
      ),
      name: 'depth, the oldest first',
      nameLocation: 'middle',
      nameGap: 28,
    },
    yAxis: { type: 'category', data: names },
    visualMap: {
      min,
      max,
      orient: 'vertical',
      right: 4,
      top: 'middle',
      text: ends,
      inRange: { color: ['#fde0c5', '#e3677a', '#4b1d91'] },
    },
    series: [
      {
        type: 'heatmap',
        data: asked.flatMap(({ name, byDepth }) =>
          byDepth.map((value, depth) => [depth, names.indexOf(name), value]),
        ),
        label: {
          show: true,
          fontSize: 9,
          formatter: ({ value }: { readonly value: readonly number[] }) => label(value[2] ?? 0),
        },
      },
    ],
  });
}

/** Needles found, for one number of needles. */
export const needlePlot = (report: Report, needles: number): string | undefined =>
  depthPlot(report, ({ counts }) => counts.find((one) => one.needles === needles)?.byDepth, {
    min: 0,
    max: 1,
    ends: ['all', 'none'],
    label: (share) => String(Math.round(100 * share)),
  });

/** How much less likely the values of needles are than with the full cache. */
export const needleLossPlot = (report: Report): string | undefined =>
  depthPlot(report, ({ lossByDepth }) => lossByDepth, {
    min: 0,
    max: 2,
    ends: ['2 nats', 'as full'],
    label: (loss) => loss.toFixed(2).replace('-0.00', '0.00'),
  });
