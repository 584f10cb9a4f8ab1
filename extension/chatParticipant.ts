import {
  chat,
  ChatRequestTurn,
  ChatResponseMarkdownPart,
  Disposable,
  l10n,
  Location,
  Uri,
  window,
  workspace,
  type CancellationToken,
  type ChatContext,
  type ChatPromptReference,
  type ChatRequest,
  type ChatResponseStream,
  type ChatResponseTurn,
  type ChatResult,
} from 'vscode';
import type { ChatAttachment, ChatMessage } from '../sidecar/protocol.ts';
import { whyNoAnswer, type Answers } from './answers.ts';

/** `@sightline` in VS Code's chat: answers with the files in sight, and says which these were. */
export function registerChat(answers: Answers): Disposable {
  return Disposable.from(
    chat.createChatParticipant('sightline.chat', (request, context, stream, token) =>
      participate(answers, request, context, stream, token),
    ),
  );
}

export async function participate(
  answers: Answers,
  request: Pick<ChatRequest, 'prompt' | 'references'>,
  { history }: ChatContext,
  stream: Pick<ChatResponseStream, 'markdown' | 'progress' | 'reference'>,
  token: CancellationToken,
): Promise<ChatResult> {
  const why = whyNoAnswer(await answers.model(token));
  if (token.isCancellationRequested) return {};
  if (why !== undefined) return { errorDetails: { message: why } };
  const uri = window.activeTextEditor?.document.uri.toString();
  const answered = await answers.ask(
    {
      messages: [...history.flatMap(messageOf), { role: 'user', content: promptOf(request) }],
      attachments: request.references.flatMap(attachmentOf),
      ...(uri === undefined ? {} : { uri }),
    },
    token,
    (news) => {
      if (news.kind === 'text') stream.markdown(news.text);
      else stream.progress(l10n.t('Reading, {0} of {1} tokens', news.done, news.total));
    },
  );
  if (answered.kind === 'cancelled') return {};
  if (answered.kind === 'failed') return { errorDetails: { message: answered.message } };
  const { files, attachments } = answered.answer.context;
  for (const seen of new Set([...attachments, ...files].map((file) => file.uri))) {
    stream.reference(Uri.parse(seen));
  }
  return {};
}

/** A turn of the conversation, in the words that were said. */
function messageOf(turn: ChatRequestTurn | ChatResponseTurn): ChatMessage[] {
  if (turn instanceof ChatRequestTurn) return [{ role: 'user', content: turn.prompt }];
  const parts = turn.response.filter((part) => part instanceof ChatResponseMarkdownPart);
  const content = parts.map(({ value }) => value.value).join('');
  return content === '' ? [] : [{ role: 'assistant', content }];
}

/** With what is attached as text: that is in no file. */
function promptOf({ prompt, references }: Pick<ChatRequest, 'prompt' | 'references'>): string {
  const texts = references.map(({ value }) => value).filter((value) => typeof value === 'string');
  return [...texts, prompt].join('\n\n');
}

/** Files of other places than the workspace and open documents are not for a model to see because a name was written. */
function attachmentOf({ value }: ChatPromptReference): ChatAttachment[] {
  const uri = value instanceof Location ? value.uri : value;
  if (!(uri instanceof Uri) || !isKnown(uri)) return [];
  if (!(value instanceof Location)) return [{ uri: uri.toString() }];
  const { start, end } = value.range;
  return [{ uri: uri.toString(), lines: { first: start.line, last: end.line } }];
}

const isKnown = (uri: Uri): boolean =>
  workspace.getWorkspaceFolder(uri) !== undefined ||
  workspace.textDocuments.some((document) => document.uri.toString() === uri.toString());
