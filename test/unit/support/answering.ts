import { PassThrough } from 'node:stream';
import {
  createProtocolConnection,
  StreamMessageReader,
  StreamMessageWriter,
  type ProtocolConnection,
} from 'vscode-languageserver/node';
import { Answers } from '../../../extension/answers.ts';
import type { ChatAnswer } from '../../../sidecar/protocol.ts';

/** Who asks, and a sidecar that answers as the test has it. */
export function answering(): {
  readonly answers: Answers;
  readonly sidecar: ProtocolConnection;
  readonly close: () => void;
} {
  const [there, back] = [new PassThrough(), new PassThrough()];
  const client = createProtocolConnection(
    new StreamMessageReader(back),
    new StreamMessageWriter(there),
  );
  const sidecar = createProtocolConnection(
    new StreamMessageReader(there),
    new StreamMessageWriter(back),
  );
  const answers = new Answers(client);
  client.listen();
  sidecar.listen();
  const close = (): void => {
    client.dispose();
    sidecar.dispose();
  };
  return { answers, sidecar, close };
}

export const answerOf = (text: string, more: Partial<ChatAnswer> = {}): ChatAnswer => ({
  ...{ text, toolCalls: [], finish: 'end' },
  context: {
    ...{ promptTokens: 3, reusedTokens: 0, contextTokens: 100, omittedMessages: 0 },
    ...{ files: [], attachments: [], leftOut: [] },
  },
  ...{ generatedTokens: 2, firstTokenSeconds: 0.1, tiers: [] },
  ...more,
});
