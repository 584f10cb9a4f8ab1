import type {
  Connection,
  NotificationType,
  WorkDoneProgressServerReporter,
} from 'vscode-languageserver/node';
import { StatusNotification, type SidecarStatus } from './protocol.ts';

/** Sends to a client that may be gone already: then there is nobody to tell. */
export function notify<P>(connection: Connection, type: NotificationType<P>, params: P): void {
  connection.sendNotification(type.method, params).catch(() => undefined);
}

/**
 * Tells the client what the sidecar is doing: as `sightline/status` at every change, as work-done
 * progress while a model loads, and in the log what is wrong, for editors that do not know Sightline.
 */
export class StatusReporter {
  readonly #connection: Connection;
  #latest = '';
  #progress: Promise<WorkDoneProgressServerReporter> | undefined;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  report(status: SidecarStatus): void {
    const latest = JSON.stringify(status);
    if (latest === this.#latest) return;
    this.#latest = latest;
    notify(this.#connection, StatusNotification, status);
    if (status.state === 'error') this.#connection.console.error(status.message);
    if (status.state === 'warning') this.#connection.console.warn(status.message);
    if (status.state === 'loading') this.#showProgress(status.fraction, status.message);
    else this.#endProgress();
  }

  #showProgress(fraction: number, message: string): void {
    const percentage = Math.floor(fraction * 100);
    if (this.#progress === undefined) {
      this.#progress = this.#connection.window.createWorkDoneProgress();
      this.#withProgress((progress) => {
        progress.begin('Sightline', percentage, message, false);
      });
    } else {
      this.#withProgress((progress) => {
        progress.report(percentage, message);
      });
    }
  }

  #endProgress(): void {
    this.#withProgress((progress) => {
      progress.done();
    });
    this.#progress = undefined;
  }

  /** A client that refuses the progress goes without it. */
  #withProgress(use: (progress: WorkDoneProgressServerReporter) => void): void {
    this.#progress?.then(use, () => undefined);
  }
}
