import * as l10n from '@vscode/l10n';
import { randomUUID } from 'node:crypto';
import type { CancellationToken } from 'vscode';
import type { LanguageClient } from 'vscode-languageclient/node';
import {
  ChatProgressNotification,
  ChatRequest,
  CountTokensRequest,
  ModelRequest,
  type ChatAnswer,
  type ChatParams,
  type ChatProgress,
  type ModelInSight,
} from '../sidecar/protocol.ts';

/** What became of a question. */
export type Answered =
  | { readonly kind: 'answer'; readonly answer: ChatAnswer }
  | { readonly kind: 'cancelled' }
  /** `message` is for people, and says what to do where anything can be done. */
  | { readonly kind: 'failed'; readonly message: string };

/** As much of the language client as asking takes. */
export type Asking = Pick<LanguageClient, 'sendRequest' | 'onNotification'>;

/** Of the LSP: the answer to a request that was given up. */
const requestCancelled = -32800;
/** Of JSON-RPC: the connection ended before there was an answer. */
const connectionLost = -32097;

/** Why a model answers nothing, and what to do; undefined where it does. */
export function whyNoAnswer(model: ModelInSight | null): string | undefined {
  if (model === null) {
    return l10n.t(
      'No model is loaded, so nothing can be asked. The log says why; sightline.model.path says which one it is.',
    );
  }
  return model.canChat
    ? undefined
    : l10n.t(
        '{0} completes code and cannot answer: it has no template for conversations. Choose an instruction-tuned model, for example Qwen2.5-Coder-Instruct.',
        model.name,
      );
}

const sidecarLost = (): string =>
  l10n.t('The sidecar stopped while it answered. Try again once it is back.');

/** The one way to ask the model of the sidecar; every panel, command and provider asks through it. */
export class Answers {
  readonly #client: Asking;
  /** By the id of the question. The client knows one handler for a method, whoever asks. */
  readonly #asked = new Map<string, (progress: ChatProgress) => void>();

  constructor(client: Asking) {
    this.#client = client;
    client.onNotification(ChatProgressNotification, (progress) => {
      this.#asked.get(progress.id)?.(progress);
    });
  }

  /** `onProgress` hears how far it is until this resolves, and nothing after that. Never rejects. */
  async ask(
    question: Omit<ChatParams, 'id'>,
    token: CancellationToken,
    onProgress: (progress: ChatProgress) => void,
  ): Promise<Answered> {
    const id = randomUUID();
    this.#asked.set(id, onProgress);
    try {
      const params: ChatParams = { ...question, id };
      return { kind: 'answer', answer: await this.#client.sendRequest(ChatRequest, params, token) };
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      if (token.isCancellationRequested || code === requestCancelled) return { kind: 'cancelled' };
      if (code === connectionLost) return { kind: 'failed', message: sidecarLost() };
      return { kind: 'failed', message: error instanceof Error ? error.message : String(error) };
    } finally {
      this.#asked.delete(id);
    }
  }

  /** The loaded model; waits for it. Null where none can be loaded, or no sidecar runs. */
  async model(token?: CancellationToken): Promise<ModelInSight | null> {
    try {
      return await this.#client.sendRequest(ModelRequest, token);
    } catch {
      return null;
    }
  }

  /** Tokens of each text. Rejects where no model is loaded. */
  countTokens(texts: readonly string[], token?: CancellationToken): Promise<readonly number[]> {
    return this.#client.sendRequest(CountTokensRequest, { texts }, token);
  }
}
