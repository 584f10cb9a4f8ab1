import * as l10n from '@vscode/l10n';
import { html, nothing, type TemplateResult } from 'lit';
import { classMap } from 'lit/directives/class-map.js';
import { ref } from 'lit/directives/ref.js';
import { formatCount } from '../../format.ts';
import type { ChatMessages, Draft, FoundPath } from '../messages.ts';
import { drawChip, icon } from './chips.ts';

export interface ComposerState {
  readonly draft: Draft;
  readonly isRunning: boolean;
  /** Nothing can be asked: the model takes no conversations. */
  readonly isBlocked: boolean;
}

export interface ComposerActions {
  readonly tell: (message: ChatMessages['fromPage']) => void;
  draw(): void;
  /** What is typed, to be kept while the page is out of sight. */
  keep(question: string): void;
  editLast(): void;
}

/** What a `#` before the cursor asks for. */
const asked = /(?:^|[\s(])#("?)([^\s"#]*)$/u;

/** Where questions are written: the input with its list of files, what goes with the question, and the buttons. */
export class Composer {
  readonly #actions: ComposerActions;
  #input: HTMLTextAreaElement | undefined;
  #paths: readonly FoundPath[] = [];
  #chosen = 0;
  #query: string | undefined;

  constructor(actions: ComposerActions) {
    this.#actions = actions;
  }

  get question(): string {
    return this.#input?.value ?? '';
  }

  set question(text: string) {
    if (this.#input === undefined) return;
    this.#input.value = text;
    this.#closeList();
    this.focus();
  }

  focus(): void {
    this.#input?.focus();
  }

  /** Files that were found; those for an older query are not wanted any more. */
  found(query: string, paths: readonly FoundPath[]): void {
    if (query !== this.#query) return;
    this.#paths = paths;
    this.#chosen = 0;
    this.#actions.draw();
  }

  render({ draft, isRunning, isBlocked }: ComposerState): TemplateResult {
    const { tell } = this.#actions;
    const { document: used, chips, contextTokens, editing } = draft;
    const total = chips.reduce((sum, { tokens }) => sum + (tokens ?? 0), 0);
    const button = (name: string, label: string, what: 'file' | 'selection' | 'folder') =>
      html`<button
        type="button"
        class="icon"
        title=${label}
        aria-label=${label}
        @click=${() => {
          tell({ kind: 'attach', what });
        }}
      >
        ${icon(name)}
      </button>`;
    return html`<form
      class="composer"
      aria-label=${l10n.t('Question')}
      @submit=${(event: Event) => {
        event.preventDefault();
        this.#send(isRunning || isBlocked);
      }}
    >
      ${
        editing === undefined
          ? nothing
          : html`<p class="editing">
              ${icon('edit')}${l10n.t('The question and what follows it will be replaced.')}
              <button
                type="button"
                class="link"
                @click=${() => {
                  tell({ kind: 'cancelEdit' });
                }}
              >
                ${l10n.t('Cancel')}
              </button>
            </p>`
      }
      <ul class="chips" aria-label=${l10n.t('What the model sees with the question')}>
        ${
          used === undefined
            ? nothing
            : html`<li class=${classMap({ chip: true, off: !used.on })}>
                <button
                  type="button"
                  class="name"
                  aria-pressed=${used.on ? 'true' : 'false'}
                  title=${
                    used.on
                      ? l10n.t('{0} is seen, with the files that completions see', used.path)
                      : l10n.t('{0} is not seen', used.path)
                  }
                  @click=${() => {
                    tell({ kind: 'useDocument', on: !used.on });
                  }}
                >
                  ${icon(used.on ? 'eye' : 'eye-closed')}<span>${used.name}</span>
                </button>
              </li>`
        }
        ${chips.map((chip) =>
          drawChip(
            chip,
            (key) => {
              tell({ kind: 'open', key });
            },
            undefined,
            (key) => {
              tell({ kind: 'detach', key });
            },
          ),
        )}
      </ul>
      <div class="input">
        ${this.#drawList()}
        <textarea
          rows="2"
          aria-label=${l10n.t('Question')}
          aria-autocomplete="list"
          aria-controls="paths"
          aria-activedescendant=${this.#isOpen ? `path-${this.#chosen}` : nothing}
          placeholder=${l10n.t('Ask about your code; # adds a file')}
          ?disabled=${isBlocked}
          ${ref((element) => {
            if (element instanceof HTMLTextAreaElement) this.#input = element;
          })}
          @input=${() => {
            this.#typed();
          }}
          @click=${() => {
            this.#typed();
          }}
          @blur=${() => {
            this.#closeList();
          }}
          @keydown=${(event: KeyboardEvent) => {
            this.#key(event, isRunning || isBlocked);
          }}
        ></textarea>
      </div>
      <div class="bar">
        ${button('file-add', l10n.t('Add File…'), 'file')}
        ${button('list-selection', l10n.t('Add Selection'), 'selection')}
        ${button('folder-opened', l10n.t('Add Folder…'), 'folder')}
        <span class="total"
          >${
            total === 0
              ? nothing
              : contextTokens === undefined
                ? l10n.t('{0} tokens', formatCount(total))
                : l10n.t('{0} of {1} tokens', formatCount(total), formatCount(contextTokens))
          }</span
        >
        ${
          isRunning
            ? html`<button
                type="button"
                class="primary"
                title=${l10n.t('Stop (Escape)')}
                @click=${() => {
                  tell({ kind: 'stop' });
                }}
              >
                ${icon('debug-stop')}${l10n.t('Stop')}
              </button>`
            : html`<button
                type="submit"
                class="primary"
                title=${l10n.t('Send (Enter)')}
                ?disabled=${isBlocked}
              >
                ${icon('send')}${l10n.t('Send')}
              </button>`
        }
      </div>
    </form>`;
  }

  get #isOpen(): boolean {
    return this.#query !== undefined && this.#paths.length > 0;
  }

  #drawList(): TemplateResult {
    return html`<ul
      id="paths"
      role="listbox"
      aria-label=${l10n.t('Files')}
      ?hidden=${!this.#isOpen}
    >
      ${this.#paths.map(
        ({ path, kind }, index) =>
          html`<li
            id="path-${index}"
            role="option"
            aria-selected=${index === this.#chosen ? 'true' : 'false'}
            @mousedown=${(event: Event) => {
              event.preventDefault();
              this.#accept(index);
            }}
          >
            ${icon(kind === 'folder' ? 'folder' : 'file')}<span>${path}</span>
          </li>`,
      )}
    </ul>`;
  }

  #key(event: KeyboardEvent, mayNotSend: boolean): void {
    if (event.isComposing) return;
    const { key } = event;
    if (this.#isOpen && ['ArrowDown', 'ArrowUp', 'Enter', 'Tab', 'Escape'].includes(key)) {
      event.preventDefault();
      event.stopPropagation();
      const count = this.#paths.length;
      if (key === 'Escape') this.#closeList();
      else if (key === 'Enter' || key === 'Tab') this.#accept(this.#chosen);
      else this.#chosen = (this.#chosen + (key === 'ArrowDown' ? 1 : count - 1)) % count;
      this.#actions.draw();
      return;
    }
    if (key === 'Enter' && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      this.#send(mayNotSend);
    } else if (key === 'ArrowUp' && this.question === '') {
      event.preventDefault();
      this.#actions.editLast();
    }
  }

  #send(mayNot: boolean): void {
    const { question } = this;
    if (mayNot || question.trim() === '') return;
    this.question = '';
    this.#actions.keep('');
    this.#actions.tell({ kind: 'send', question });
  }

  #typed(): void {
    this.#actions.keep(this.question);
    const before = this.question.slice(0, this.#input?.selectionStart ?? 0);
    const query = asked.exec(before)?.[2];
    if (query === this.#query) return;
    if (query === undefined) {
      this.#closeList();
      return;
    }
    this.#query = query;
    this.#actions.tell({ kind: 'find', query });
  }

  #closeList(): void {
    if (this.#query === undefined) return;
    this.#query = undefined;
    this.#paths = [];
    this.#actions.draw();
  }

  /** Writes the file's name in place of what asked for it, and takes it along. */
  #accept(index: number): void {
    const found = this.#paths[index];
    const input = this.#input;
    if (found === undefined || input === undefined) return;
    const end = input.selectionStart;
    const match = asked.exec(input.value.slice(0, end));
    const start = match === null ? end : match.index + match[0].lastIndexOf('#');
    input.setRangeText(`${found.mention} `, start, end, 'end');
    this.#closeList();
    this.#actions.keep(this.question);
    this.#actions.tell({ kind: 'attachPath', path: found.path });
  }
}
