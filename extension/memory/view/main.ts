/** The page of the memory view. */
import { connect, emptyRoot } from '../../webview/view/host.ts';
import { render } from 'lit';
import type { MemoryMessages } from '../messages.ts';
import { Figure } from './figure.ts';
import { page, type View } from './template.ts';
import 'uplot/dist/uPlot.min.css';
import './memory.css';

/** Until there is news, what the host wrote there is in sight. */
let root: HTMLElement | undefined;
let view: View = {};
/** Plots with a library that is loaded behind all else. */
let figure: Promise<Figure> | undefined;
let isDue = false;

const tell = connect<MemoryMessages>(show);

/** News come faster than the screen is drawn: each frame draws the latest. */
function show(change: Partial<View>): void {
  view = { ...view, ...change };
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    draw();
  });
}

function draw(): void {
  root ??= emptyRoot();
  render(page(view, { tell, saveFigure: () => void saveFigure() }), root);
  const parent = document.getElementById('plot');
  const { forecast, stats = null } = view;
  if (parent === null || !forecast) return;
  figure ??= figureIn(parent);
  void figure.then((drawn) => {
    drawn.show(forecast, stats);
  });
}

async function figureIn(parent: HTMLElement): Promise<Figure> {
  const { default: library } = await import('uplot');
  return new Figure(library, parent, (hovered) => {
    if (hovered !== view.hovered) show({ hovered });
  });
}

async function saveFigure(): Promise<void> {
  const png = (await figure)?.image();
  if (png !== undefined) tell({ kind: 'saveFigure', png });
}

// VS Code says by the body's class which theme is in use.
new MutationObserver(() => {
  void figure?.then((drawn) => {
    drawn.redraw();
  });
}).observe(document.body, { attributes: true, attributeFilter: ['class'] });
tell({ kind: 'ready' });
