import { startOf } from '../context/head.ts';
import type { LoadedModel } from '../engine/engine.ts';
import { runJob } from '../engine/job.ts';
import { greedy } from '../engine/sampling.ts';
import { joinTokens } from '../engine/tokens.ts';
import { shuffled, uniformStream } from './random.ts';
import type { NeedlesResult } from './results.ts';
import { sequences } from './sequences.ts';
import type { Strategy } from './strategies.ts';

/** Equally far apart, from the oldest place on. */
export const depths = 10;

/** Values that the right one has to be likelier than, less one. */
const choices = 8;

/** Latest tokens that have no needle: more than any window, and the block before it. */
const nearTokens = 1024;

/** The shortest context that has room for needles out of every window. */
export const leastContext = 2 * nearTokens;

interface Needle {
  readonly name: string;
  readonly value: string;
  /** Of the ten; those in between are not asked for. */
  readonly depth: number | undefined;
  /** Share of the room that there is for needles. */
  readonly at: number;
}

const nouns =
  'buffer cache layout packet parser render request retry session signal socket thread token vector window worker'.split(
    ' ',
  );

const upperFirst = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1);

/** Which of the ten depths have a needle of their own in the same context. */
export function groupsOf(needles: number): number[][] {
  const all = Array.from({ length: depths }, (_, depth) => depth);
  const groups = Math.ceil(depths / needles);
  return Array.from({ length: groups }, (_, group) =>
    all.filter((depth) => depth % groups === group),
  );
}

/** `count` needles: one at every depth asked for, the others between them. */
function needlesOf(count: number, asked: readonly number[], next: () => number): Needle[] {
  const names = shuffled(
    nouns.flatMap((a) => nouns.filter((b) => b !== a).map((b) => a + upperFirst(b))),
    next,
  );
  const values = new Set<string>();
  while (values.size < count + choices) values.add(String(1000 + Math.floor(next() * 9000)));
  return [...values].slice(0, count).map((value, index) => {
    const depth = asked[index];
    const at = depth === undefined ? next() : depth / (depths - 1);
    return { name: names[index] ?? '', value, depth, at };
  });
}

/**
 * Constants are declared between the lines of real code, out of every window, and their values asked for at its end: the
 * value is to be the likeliest of eight, those of the other needles among them, and to be what the model writes.
 */
export async function measureNeedles(
  { native, tokenizer }: LoadedModel,
  strategy: Strategy,
  filler: Int32Array,
  count: number,
  round: number,
  signal: AbortSignal,
): Promise<NeedlesResult> {
  const context = filler.length;
  await native.dropSequence(sequences.full);
  const found: NeedlesResult['found'] = [];
  for (const [group, asked] of groupsOf(count).entries()) {
    // Of the place alone, so that all caches are asked the same.
    const next = uniformStream(`needles/${context}/${count}/${round}/${group}`);
    const needles = needlesOf(count, asked, next);
    const text = await withNeedles(native, filler, needles);
    const haystack = joinTokens([startOf(native.info), await tokenizer.tokenize(text)]);
    await native.beginSequence(sequences.measured, strategy.cache);
    for (const { name, value, depth } of needles) {
      if (depth === undefined) continue;
      const others = needles.map((needle) => needle.value).filter((other) => other !== value);
      const more = Array.from({ length: choices }, () => String(1000 + Math.floor(next() * 9000)));
      const candidates = [value, ...shuffled(others, next), ...more].slice(0, choices);
      // The space is a part of the value's tokens.
      const question = await tokenizer.tokenize(`\nconst ${name} =`);
      const prompt = joinTokens([haystack, question]);
      const prefill = native.complete(
        {
          tokens: prompt,
          maxTokens: 0,
          sharedTokens: haystack.length,
          sampling: greedy,
          stopTokens: new Int32Array(),
        },
        () => undefined,
      );
      await runJob(prefill, signal);
      const answers: { loss: number; exact: boolean }[] = [];
      for (const candidate of candidates)
        answers.push(await answerOf(native, prompt, candidate, signal));
      const [right, ...wrong] = answers;
      if (right === undefined) continue;
      const { loss, exact } = right;
      found.push({ depth, exact, loss, chosen: wrong.every((other) => loss < other.loss) });
    }
  }
  found.sort((a, b) => a.depth - b.depth);
  return { task: 'needles', cache: strategy.name, context, needles: count, round, found };
}

/** How far the model is from writing a value behind the prompt, in nats, and whether it would. */
async function answerOf(
  native: LoadedModel['native'],
  prompt: Int32Array,
  value: string,
  signal: AbortSignal,
): Promise<{ loss: number; exact: boolean }> {
  const { vocabulary } = native.info;
  const answer = await native.tokenize(` ${value};`, false);
  const held = await native.truncate(prompt.length - 1);
  const tokens = joinTokens([prompt.slice(held), answer]);
  const logits = await runJob(native.evaluate(tokens, 'all', sequences.measured), signal);
  const first = prompt.length - 1 - held;
  let loss = 0;
  let exact = true;
  for (const [index, token] of answer.entries()) {
    const row = logits.subarray((first + index) * vocabulary, (first + index + 1) * vocabulary);
    const most = row.reduce((a, b) => Math.max(a, b), -Infinity);
    const own = row[token] ?? Number.NaN;
    loss += most + Math.log(row.reduce((all, logit) => all + Math.exp(logit - most), 0)) - own;
    exact &&= own === most;
  }
  return { loss, exact };
}

/** The filler's text with a line for every needle, cut to leave room for them and a question. */
async function withNeedles(
  native: LoadedModel['native'],
  filler: Int32Array,
  needles: readonly Needle[],
): Promise<string> {
  const length = filler.length - 24 * (needles.length + 2);
  const text = await native.detokenize(filler.slice(1, length));
  const room = text.length * (1 - nearTokens / length);
  const lines = [...needles].sort((a, b) => b.at - a.at);
  return lines.reduce((all, { name, value, at }) => {
    const line = all.lastIndexOf('\n', at * room) + 1;
    return `${all.slice(0, line)}const ${name} = ${value};\n${all.slice(line)}`;
  }, text);
}
