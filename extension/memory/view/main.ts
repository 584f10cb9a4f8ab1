/** The page of the memory view. */
import { connect, emptyRoot } from '../../webview/view/host.ts';
import { render } from 'lit';
import type { MemoryMessages } from '../messages.ts';
import { Figure } from './figure.ts';
import { page, type View } from './template.ts';
import './memory.css';

const root = emptyRoot();
let view: View = {};
let figure: Figure | undefined;
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
  render(page(view, { tell, saveFigure }), root);
  const parent = document.getElementById('plot');
  if (parent === null || !view.forecast) return;
  figure ??= new Figure(parent, (hovered) => {
    if (hovered !== view.hovered) show({ hovered });
  });
  figure.show(view.forecast, view.stats ?? null);
}

function saveFigure(): void {
  const png = figure?.image();
  if (png !== undefined) tell({ kind: 'saveFigure', png });
}

draw();
// VS Code says by the body's class which theme is in use.
new MutationObserver(() => {
  figure?.redraw();
}).observe(document.body, { attributes: true, attributeFilter: ['class'] });
tell({ kind: 'ready' });
