import { Disposable, MarkdownString, StatusBarAlignment, ThemeColor, window } from 'vscode';
import type { Monitor } from './monitor.ts';
import { linkedCommands, statusView } from './statusView.ts';

const themeColors = {
  none: undefined,
  warning: new ThemeColor('statusBarItem.warningBackground'),
  error: new ThemeColor('statusBarItem.errorBackground'),
} as const;

/** The item in the status bar: how the sidecar is doing, and on a click what the cache holds. */
export function registerStatusItem(monitor: Monitor): Disposable {
  const item = window.createStatusBarItem('sightline.status', StatusBarAlignment.Right, 100);
  const draw = (): void => {
    const view = statusView(monitor.status, monitor.stats);
    const tooltip = new MarkdownString(view.tooltip, true);
    tooltip.isTrusted = { enabledCommands: linkedCommands };
    item.text = view.text;
    item.accessibilityInformation = { label: view.label };
    item.tooltip = tooltip;
    item.backgroundColor = themeColors[view.severity];
  };
  item.name = 'Sightline';
  item.command = 'sightline.showMemory';
  draw();
  item.show();
  return Disposable.from(item, monitor.onDidChange(draw));
}
