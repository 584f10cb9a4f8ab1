import { EventEmitter, l10n } from 'vscode';
import type { CacheStats } from '../sidecar/protocol.ts';
import type { Status } from './statusView.ts';

/** What is known of the sidecar and its cache, and when that changes. */
export class Monitor {
  readonly #changes = new EventEmitter<void>();
  #status: Status = { state: 'stopped', message: l10n.t('Not started.') };
  #stats: CacheStats | undefined;

  readonly onDidChange = this.#changes.event;

  get status(): Status {
    return this.#status;
  }

  /** The latest; undefined before a model is loaded. */
  get stats(): CacheStats | undefined {
    return this.#stats;
  }

  set(status: Status, stats: CacheStats | undefined): void {
    this.#status = status;
    this.#stats = stats;
    this.#changes.fire();
  }

  dispose(): void {
    this.#changes.dispose();
  }
}
