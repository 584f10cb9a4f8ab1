import type { Written } from './work.ts';

/** How OpenAI's interface has answers of one kind: what of `choices[0]` is not the same for both. */
export interface Format {
  readonly idPrefix: string;
  /** Of the whole answer, and of a piece that is streamed. */
  readonly object: string;
  readonly pieceObject: string;
  readonly whole: (written: Written) => object;
  /** Before there is text. */
  readonly begin: readonly object[];
  readonly piece: (text: string) => object;
  /** Behind the text. */
  readonly calls: (written: Written) => readonly object[];
  readonly end: object;
}

export const completionFormat: Format = {
  idPrefix: 'cmpl',
  object: 'text_completion',
  pieceObject: 'text_completion',
  whole: ({ text }) => ({ text }),
  begin: [],
  piece: (text) => ({ text }),
  calls: () => [],
  end: { text: '' },
};

const callsOf = ({ toolCalls }: Written): readonly object[] =>
  toolCalls.map(({ id, name, arguments: given }) => ({
    ...{ id, type: 'function' },
    function: { name, arguments: given },
  }));

export const chatFormat: Format = {
  idPrefix: 'chatcmpl',
  object: 'chat.completion',
  pieceObject: 'chat.completion.chunk',
  whole: (written) => ({
    message: {
      role: 'assistant',
      content: written.text === '' && written.toolCalls.length > 0 ? null : written.text,
      ...(written.toolCalls.length === 0 ? {} : { tool_calls: callsOf(written) }),
    },
  }),
  begin: [{ delta: { role: 'assistant', content: '' } }],
  piece: (content) => ({ delta: { content } }),
  calls: (written) =>
    callsOf(written).map((call, index) => ({ delta: { tool_calls: [{ index, ...call }] } })),
  end: { delta: {} },
};

export const usageOf = ({ promptTokens, cachedTokens, generatedTokens }: Written): object => ({
  prompt_tokens: promptTokens,
  completion_tokens: generatedTokens,
  total_tokens: promptTokens + generatedTokens,
  prompt_tokens_details: { cached_tokens: cachedTokens },
});
