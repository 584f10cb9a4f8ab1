import { CancellationTokenSource, type CancellationToken } from 'vscode-jsonrpc';
import type { DocumentPlace, NextEdit } from '../../sidecar/protocol.ts';

/** Where the user is in a document. */
export interface Here extends DocumentPlace {
  readonly version: number;
}

/** The editor that offers are made in. */
export interface Surface {
  /** Undefined where no next edit is wanted, or none can be made. */
  here(): Here | undefined;
  /** Whether an inline suggestion is shown. */
  isSuggesting(): boolean;
  ask(here: Here, token: CancellationToken): Promise<NextEdit | null>;
  /** Draws what is offered as things are now; undefined: nothing. */
  show(edit: NextEdit | undefined): void;
  isInView(edit: NextEdit): boolean;
  /** Goes there. */
  reveal(edit: NextEdit): void;
  /** As one step of undo, with the cursor behind it; false where the document was not edited. */
  apply(edit: NextEdit): Promise<boolean>;
}

/** Asks for the next edit once the user has paused, and keeps the offer until it is accepted, dismissed or overtaken. */
export class NextEditController {
  readonly #surface: Surface;
  readonly #settleMs: number;
  #offer: NextEdit | undefined;
  /** The document was edited, and nothing was asked since. */
  #isDue = false;
  /** What the user wants no more offers for. */
  #dismissed: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #asking: CancellationTokenSource | undefined;
  #isAccepting = false;

  /** `settleMs`: how long nothing happens before anything is asked. */
  constructor(surface: Surface, settleMs: number) {
    this.#surface = surface;
    this.#settleMs = settleMs;
  }

  get offer(): NextEdit | undefined {
    return this.#offer;
  }

  /** The document was edited. Behind what takes an edit back nothing is asked. */
  edited(takesBack: boolean): void {
    if (this.#isAccepting) return;
    this.leave();
    this.#isDue = !takesBack;
    this.#wait();
  }

  /** The cursor or the view has moved. */
  moved(): void {
    if (this.#offer !== undefined) this.#surface.show(this.#offer);
    else this.#wait();
  }

  /** An inline suggestion has come up: it goes first. */
  suggested(): void {
    if (this.#offer === undefined) return;
    this.#withdraw();
    this.#isDue = true;
  }

  /** The user is somewhere else, or wants no next edits. */
  leave(): void {
    clearTimeout(this.#timer);
    this.#asking?.cancel();
    this.#isDue = false;
    this.#withdraw();
  }

  /** Goes where the offer is, or accepts it once it is in view; then the one after it is asked for. */
  async accept(): Promise<void> {
    const edit = this.#offer;
    if (edit === undefined || this.#isAccepting) return;
    if (!this.#surface.isInView(edit)) {
      this.#surface.reveal(edit);
      return;
    }
    this.#withdraw();
    this.#isAccepting = true;
    const isApplied = await this.#surface.apply(edit).finally(() => {
      this.#isAccepting = false;
    });
    if (isApplied) await this.#ask();
  }

  /** No more is offered for what the user did. */
  dismiss(): void {
    if (this.#offer === undefined) return;
    this.#dismissed = JSON.stringify(this.#offer.why);
    this.#withdraw();
  }

  #withdraw(): void {
    if (this.#offer === undefined) return;
    this.#offer = undefined;
    this.#surface.show(undefined);
  }

  #wait(): void {
    clearTimeout(this.#timer);
    if (!this.#isDue) return;
    this.#timer = setTimeout(() => void this.#ask(), this.#settleMs);
  }

  async #ask(): Promise<void> {
    this.#isDue = true;
    const here = this.#surface.here();
    // It is asked once the cursor has left the suggestion.
    if (here === undefined || this.#surface.isSuggesting()) return;
    this.#isDue = false;
    this.#asking?.cancel();
    const asking = new CancellationTokenSource();
    this.#asking = asking;
    // It may have been overtaken, or the sidecar be gone: then there is nothing to offer.
    const edit = await this.#surface.ask(here, asking.token).catch(() => null);
    const now = this.#surface.here();
    if (asking.token.isCancellationRequested || now?.uri !== here.uri) return;
    if (now.version !== here.version) return;
    if (edit === null || JSON.stringify(edit.why) !== this.#dismissed) this.#dismissed = undefined;
    else return;
    if (this.#surface.isSuggesting()) {
      this.#isDue = true;
      return;
    }
    this.#offer = edit ?? undefined;
    if (this.#offer !== undefined) this.#surface.show(this.#offer);
  }
}
