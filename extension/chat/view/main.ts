import { connect, keepState, keptState } from '../../webview/view/host.ts';
import * as l10n from '@vscode/l10n';
import { html, nothing, render, type TemplateResult } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import { formatCount } from '../../format.ts';
import type { ChatMessages, Draft, Obstacle, PageTurn } from '../messages.ts';
import { Announcer } from './announcer.ts';
import { AnswerView } from './answerView.ts';
import './chat.css';
import { drawChip, icon } from './chips.ts';
import type { CodeButtons } from './codeBlock.ts';
import { Composer } from './composer.ts';
import { drawFacts } from './facts.ts';
import { drawObstacle } from './obstacle.ts';

type ToPage = ChatMessages['toPage'];

/** As close to its end the log follows what comes, in pixels. */
const followWithin = 48;

let conversation: Extract<ToPage, { kind: 'conversation' }> | undefined;
let turns: readonly PageTurn[] = [];
let draft: Draft = { chips: [] };
let obstacle: Obstacle = 'loading';
let model = '';
/** How much of a prompt is read, of the turn that is answered. */
let prefill: { readonly turn: string; readonly share: string } | undefined;
let drawing = 0;
const views = new Map<string, AnswerView>();
/** Blocks of the answer that were said. */
let said = { turn: '', blocks: 0 };
const announcer = new Announcer();

const log = document.createElement('div');
log.className = 'log';
log.tabIndex = 0;
log.setAttribute('role', 'region');
log.setAttribute('aria-label', l10n.t('Conversation'));
const head = document.createElement('div');
head.className = 'head';
const foot = document.createElement('div');
foot.className = 'foot';
const main = document.createElement('main');
main.append(head, log, foot);
document.querySelector('#root')?.replaceChildren(main, announcer.element);

const running = (): PageTurn | undefined => turns.find(({ answer }) => answer?.state === 'running');

const composer = new Composer({
  tell: (message) => {
    tell(message);
  },
  draw: () => {
    drawSoon();
  },
  keep: (question) => {
    keepState({ question });
  },
  editLast: () => {
    const last = turns.at(-1);
    if (last !== undefined && running() === undefined) tell({ kind: 'edit', turn: last.id });
  },
});

function buttonsOf(turn: string): CodeButtons {
  return {
    labels: {
      copy: l10n.t('Copy'),
      insert: l10n.t('Insert at Cursor'),
      apply: l10n.t('Apply as Diff'),
    },
    name: l10n.t('Code, {0}', '{0}'),
    act: (action, code, info) => {
      tell(action === 'apply' ? { kind: action, code, info, turn } : { kind: action, code });
    },
  };
}

function viewOf({ id, answer }: PageTurn): AnswerView {
  let view = views.get(id);
  if (view === undefined) {
    view = new AnswerView(buttonsOf(id), () => {
      drawn(id);
    });
    views.set(id, view);
    view.set(answer?.text ?? '');
  }
  return view;
}

/** Keeps the end in sight where it was, and says what is whole by now. */
function drawn(turn: string): void {
  if (follows) log.scrollTop = log.scrollHeight;
  if (said.turn !== turn) return;
  const { settled } = views.get(turn) ?? { settled: [] };
  for (const block of settled.slice(said.blocks)) announcer.say(spoken(block));
  said = { turn, blocks: Math.max(said.blocks, settled.length) };
}

function spoken(block: HTMLElement): string {
  if (!block.matches('figure.code')) return block.textContent;
  const language = block.querySelector('.language')?.textContent ?? '';
  const lines = block.querySelectorAll('.line').length;
  return l10n.t('Code, {0}, {1} lines', language, lines);
}

let follows = true;
log.addEventListener('scroll', () => {
  follows = log.scrollHeight - log.scrollTop - log.clientHeight < followWithin;
});

function drawSoon(): void {
  if (drawing === 0) drawing = requestAnimationFrame(draw);
}

function draw(): void {
  drawing = 0;
  render(drawObstacle(obstacle, model, tell), head);
  render(
    html`${turns.length === 0 ? drawWelcome() : nothing}${repeat(turns, ({ id }) => id, drawTurn)}`,
    log,
  );
  render(
    html`${
      conversation?.canUndo === true
        ? html`<p class="undo">
            ${l10n.t('What was answered before was replaced.')}
            <button
              type="button"
              class="link"
              @click=${() => {
                tell({ kind: 'undo' });
              }}
            >
              ${l10n.t('Bring it back')}
            </button>
          </p>`
        : nothing
    }
    ${composer.render({
      draft,
      isRunning: running() !== undefined,
      isBlocked: obstacle === 'noTemplate',
    })}`,
    foot,
  );
  if (follows) log.scrollTop = log.scrollHeight;
}

function drawWelcome(): TemplateResult {
  return html`<div class="welcome">
    <h2>${l10n.t('Ask about your code')}</h2>
    <p>
      ${l10n.t(
        'The model runs on your machine. It sees the file in use and what completions see, from the same cache.',
      )}
    </p>
    <ul>
      <li>${l10n.t('# in a question adds a file or a folder')}</li>
      <li>${l10n.t('Enter sends, Shift+Enter begins a line, Escape stops')}</li>
      <li>${l10n.t('Arrow up in an empty input edits the last question')}</li>
    </ul>
  </div>`;
}

function drawTurn(turn: PageTurn): TemplateResult {
  const { id, question, answer, chips, notes } = turn;
  const isIdle = running() === undefined;
  const open = (key: string): void => {
    tell({ kind: 'open', key });
  };
  const action = (name: string, label: string, act: () => void): TemplateResult =>
    html`<button type="button" class="icon" title=${label} aria-label=${label} @click=${act}>
      ${icon(name)}
    </button>`;
  return html`<section class="turn" aria-label=${l10n.t('Question and answer')}>
    <div class="question">
      <h2 class="unseen">${l10n.t('You')}</h2>
      <div class="text">${question}</div>
      ${
        isIdle
          ? action('edit', l10n.t('Edit'), () => {
              tell({ kind: 'edit', turn: id });
            })
          : nothing
      }
      ${
        chips.length === 0
          ? nothing
          : html`<ul class="chips" aria-label=${l10n.t('Attachments')}>
              ${chips.map((chip) => drawChip(chip, open, answer?.facts))}
            </ul>`
      }
      ${notes.map((note) => html`<p class="note">${icon('warning')}${note}</p>`)}
    </div>
    ${
      answer === undefined
        ? nothing
        : html`<div class="answer" aria-busy=${answer.state === 'running' ? 'true' : 'false'}>
            <h2 class="unseen">${l10n.t('Sightline')}</h2>
            ${viewOf(turn).element} ${drawState(turn)}
            ${answer.facts === undefined ? nothing : drawFacts(answer.facts)}
            ${
              isIdle
                ? html`<div class="actions">
                    ${action('refresh', l10n.t('Answer Again'), () => {
                      tell({ kind: 'regenerate', turn: id });
                    })}
                    ${action('copy', l10n.t('Copy Answer'), () => {
                      tell({ kind: 'copy', code: answer.text });
                    })}
                  </div>`
                : nothing
            }
          </div>`
    }
  </section>`;
}

function drawState(turn: PageTurn): TemplateResult | typeof nothing {
  const { answer, id } = turn;
  switch (answer?.state) {
    case undefined:
    case 'end':
      return nothing;
    case 'running':
      return viewOf(turn).isEmpty
        ? html`<p class="state">
            ${icon('loading codicon-modifier-spin')}${
              prefill?.turn === id
                ? prefill.share
                : obstacle === 'loading'
                  ? l10n.t('Waiting for the model')
                  : l10n.t('Thinking')
            }
          </p>`
        : nothing;
    case 'stopped':
      return html`<p class="state">${icon('debug-stop')}${l10n.t('Stopped')}</p>`;
    case 'length':
      return html`<p class="state">
        ${icon('warning')}${l10n.t('The answer was cut off: it is as long as answers may be.')}
      </p>`;
    case 'context':
      return html`<p class="state">
        ${icon('warning')}${l10n.t(
          'The answer was cut off: the context is full. Start a new chat, or attach less.',
        )}
      </p>`;
    case 'failed':
      return html`<p class="state failed">
        ${icon('error')}<span
          >${answer.message}
          <button
            type="button"
            class="link"
            @click=${() => {
              tell({ kind: 'regenerate', turn: id });
            }}
          >
            ${l10n.t('Try again')}
          </button></span
        >
      </p>`;
  }
}

function receive(message: ToPage): void {
  switch (message.kind) {
    case 'conversation': {
      if (message.id !== conversation?.id) follows = true;
      conversation = message;
      turns = message.turns;
      const ids = new Set(turns.map(({ id }) => id));
      for (const id of views.keys()) if (!ids.has(id)) views.delete(id);
      const asked = running();
      if (asked !== undefined && said.turn !== asked.id) {
        said = { turn: asked.id, blocks: 0 };
        follows = true;
        announcer.say(l10n.t('Answering'));
      }
      break;
    }
    case 'draft':
      ({ draft } = message);
      break;
    case 'question':
      composer.question = message.question;
      keepState({ question: message.question });
      break;
    case 'obstacle':
      ({ obstacle, model } = message);
      break;
    case 'prefill':
      prefill = {
        turn: message.turn,
        share: l10n.t(
          'Reading {0} of {1} tokens',
          formatCount(message.done),
          formatCount(message.total),
        ),
      };
      break;
    case 'text': {
      const turn = turns.find(({ id }) => id === message.turn);
      if (turn === undefined) return;
      const view = viewOf(turn);
      const isFirst = view.isEmpty;
      view.append(message.text);
      if (!isFirst) return;
      break;
    }
    case 'answer':
      turns = turns.map((turn) =>
        turn.id === message.turn ? { ...turn, answer: message.answer } : turn,
      );
      views.get(message.turn)?.set(message.answer.text);
      sayEnd(message);
      break;
    case 'found':
      composer.found(message.query, message.paths);
      break;
    case 'said':
      announcer.say(message.what === 'copied' ? l10n.t('Copied') : l10n.t('Inserted'));
      break;
    case 'focus':
      composer.focus();
      break;
  }
  drawSoon();
}

function sayEnd({ turn, answer }: Extract<ToPage, { kind: 'answer' }>): void {
  if (said.turn !== turn) return;
  const blocks = [...(views.get(turn)?.element.children ?? [])];
  for (const block of blocks.slice(said.blocks)) {
    if (block instanceof HTMLElement) announcer.say(spoken(block));
  }
  said = { turn: '', blocks: 0 };
  announcer.say(
    answer.state === 'failed'
      ? l10n.t('The question could not be answered. {0}', answer.message ?? '')
      : answer.state === 'stopped'
        ? l10n.t('Stopped')
        : l10n.t('The answer is complete.'),
  );
}

document.addEventListener('keydown', ({ key }) => {
  if (key !== 'Escape') return;
  if (running() !== undefined) tell({ kind: 'stop' });
  else if (draft.editing !== undefined) tell({ kind: 'cancelEdit' });
});

function keptQuestion(): string {
  const kept = keptState();
  const isKept = typeof kept === 'object' && kept !== null && 'question' in kept;
  return isKept && typeof kept.question === 'string' ? kept.question : '';
}

const tell = connect<ChatMessages>(receive);
draw();
composer.question = keptQuestion();
tell({ kind: 'ready' });
