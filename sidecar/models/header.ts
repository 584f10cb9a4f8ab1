import { open, stat } from 'node:fs/promises';
import { gguf } from '@huggingface/gguf';
import { cancelled, type Failure } from '../engine/failure.ts';
import { fail, succeed, type Result } from '../result.ts';

/** Reads bytes `from` to `to`, inclusive, of a file; fewer where it ends before. */
export interface RangeReader {
  /** Of the whole file. */
  readonly bytes: number;
  read(from: number, to: number, signal: AbortSignal): Promise<Uint8Array>;
}

/** What the cache holds of one layer: elements for each token. Keys and values of KV heads; 0: the layer has no cache. */
export interface LayerShape {
  readonly kvHeads: number;
  readonly keySize: number;
  readonly valueSize: number;
}

/** What a GGUF file says of its model, as far as memory and use depend on it. */
export interface ModelHeader {
  readonly architecture: string;
  readonly name: string;
  readonly layers: readonly LayerShape[];
  /** Layers have windows of their own: their cache is llama.cpp's, and at most as large as it is without them. */
  readonly slides: boolean;
  /** Tokens it was trained with; 0: the file does not say. */
  readonly trainedTokens: number;
  /** Bytes that a step of prefill takes besides. */
  readonly stepBytes: number;
  /** It has a template for conversations. */
  readonly canChat: boolean;
  readonly canFillInTheMiddle: boolean;
  /** Files that the model is in; the first one has the header. */
  readonly parts: number;
}

/** Tokens that a step of prefill evaluates; as the engine has it. */
export const stepTokens = 512;

/** The parser wants an address; what it reads comes from the reader. */
const noAddress = 'https://file.invalid/';

/** No tokenizer is longer than this. */
const mostHeaderBytes = 48 * 2 ** 20;

const mostLayers = 4096;
const mostElements = 2 ** 20;

const prefixMarkers: ReadonlySet<string> = new Set([
  ...['<|fim_prefix|>', '<fim_prefix>', '<fim-prefix>', '<PRE>', '▁<PRE>', '[PREFIX]'],
  ...['<|fim▁begin|>', '<｜fim▁begin｜>', '<|code_prefix|>'],
]);

/** Of a file on this machine. */
export async function readLocalHeader(
  path: string,
  signal: AbortSignal,
): Promise<Result<ModelHeader, Failure>> {
  try {
    const { size } = await stat(path);
    const file = await open(path);
    try {
      return await readHeader(
        path,
        {
          bytes: size,
          read: async (from, to) => {
            const buffer = new Uint8Array(to - from + 1);
            const { bytesRead } = await file.read(buffer, 0, buffer.length, from);
            return buffer.subarray(0, bytesRead);
          },
        },
        signal,
      );
    } finally {
      await file.close();
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return fail({ code: 'MODEL_NOT_FOUND', message: `${path} cannot be read: ${reason}.` });
  }
}

/** `name` is for messages. Nothing of what the file says is taken for granted. */
export async function readHeader(
  name: string,
  reader: RangeReader,
  signal: AbortSignal,
): Promise<Result<ModelHeader, Failure>> {
  try {
    const { metadata, tensorDataOffset } = await gguf(noAddress, {
      fetch: rangesOf(reader, signal),
    });
    if (tensorDataOffset > reader.bytes) throw new Error('it ends within its header');
    return succeed(headerOf({ ...metadata }));
  } catch (error) {
    if (signal.aborted) return fail(cancelled);
    if (error instanceof ReadFailure) return fail(error.failure);
    const reason = error instanceof Error ? error.message : String(error);
    return fail({
      code: 'MODEL_INVALID',
      message: `${name} is no whole GGUF model: ${plain(reason)}. Download it again, or choose another file.`,
    });
  }
}

/** What a message may say of a file: no links, and no more than a line. */
const plain = (text: string): string => text.replace(/[^\x20-\x7e]|[[\]]/g, '').slice(0, 200);

/** Thrown by a reader whose source failed, rather than what it read. */
export class ReadFailure extends Error {
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(failure.message);
    this.failure = failure;
  }
}

/** What the parser calls in place of `fetch`: it asks for one range after the other, from the start. */
function rangesOf(reader: RangeReader, signal: AbortSignal): typeof fetch {
  return async (_url, init) => {
    signal.throwIfAborted();
    const range = /^bytes=(\d+)-(\d+)$/.exec(new Headers(init?.headers).get('range') ?? '');
    const from = Number(range?.[1] ?? 0);
    const to = Math.min(Number(range?.[2] ?? 0), reader.bytes - 1);
    if (from > mostHeaderBytes) throw new Error('its header is too long');
    const read = from > to ? new Uint8Array(0) : await reader.read(from, to, signal);
    const bytes = new Uint8Array(read.length);
    bytes.set(read);
    return new Response(bytes, {
      status: 206,
      headers: { 'content-range': `bytes ${from}-${to}/${reader.bytes}` },
    });
  };
}

type Metadata = Readonly<Record<string, unknown>>;

function headerOf(metadata: Metadata): ModelHeader {
  const architecture = metadata['general.architecture'];
  if (typeof architecture !== 'string' || architecture === '') {
    throw new Error('it does not name its architecture');
  }
  const key = (name: string): unknown => metadata[`${architecture}.${name}`];
  const count = (name: string, most: number): number => countOf(key(name), most, name);
  const layers = count('block_count', mostLayers);
  if (layers === 0) throw new Error('it has no layers');
  const width = count('embedding_length', mostElements);
  const inner = perLayer(key('feed_forward_length'), layers, mostElements, 'feed_forward_length');
  const heads = perLayer(key('attention.head_count'), layers, mostElements, 'head_count');
  const given = perLayer(key('attention.head_count_kv'), layers, mostElements, 'head_count_kv');
  const kvHeads = key('attention.head_count_kv') === undefined ? heads : given;
  const keyLength = count('attention.key_length', mostElements);
  const valueLength = count('attention.value_length', mostElements);
  const tokens = metadata['tokenizer.ggml.tokens'];
  const vocabulary = Array.isArray(tokens) ? tokens.length : 0;
  const { 'general.name': name, 'split.count': split } = metadata;
  return {
    architecture,
    name: typeof name === 'string' && name !== '' ? name : architecture,
    layers: kvHeads.map((kv, i) => {
      const size = Math.floor(width / Math.max(1, heads[i] ?? 1));
      return { kvHeads: kv, keySize: keyLength || size, valueSize: valueLength || size };
    }),
    slides: count('attention.sliding_window', 2 ** 31) > 0,
    trainedTokens: count('context_length', 2 ** 31),
    stepBytes: stepTokens * 4 * (vocabulary + 2 * Math.max(0, ...inner) + 4 * width),
    canChat: typeof metadata['tokenizer.chat_template'] === 'string',
    canFillInTheMiddle:
      metadata['tokenizer.ggml.fim_pre_token_id'] !== undefined ||
      metadata['tokenizer.ggml.prefix_token_id'] !== undefined ||
      (Array.isArray(tokens) &&
        tokens.some((token) => typeof token === 'string' && prefixMarkers.has(token))),
    parts: Math.max(1, countOf(split, 99_999, 'split.count')),
  };
}

/** Absent: 0. */
function countOf(value: unknown, most: number, name: string): number {
  if (value === undefined) return 0;
  const number = typeof value === 'bigint' ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isInteger(number) || number < 0 || number > most) {
    throw new Error(`its ${name} is ${describeValue(value)}`);
  }
  return number;
}

const describeValue = (value: unknown): string =>
  typeof value === 'number' || typeof value === 'bigint' ? String(value) : 'no number';

/** Files give one number for all layers, or a list. */
function perLayer(value: unknown, layers: number, most: number, name: string): number[] {
  if (!Array.isArray(value)) return Array<number>(layers).fill(countOf(value, most, name));
  if (value.length < layers) throw new Error(`its ${name} is not given for every layer`);
  return value.slice(0, layers).map((one) => countOf(one, most, name));
}
