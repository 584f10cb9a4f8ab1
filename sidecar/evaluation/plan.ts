import type { Grammars } from '../syntax/parser.ts';
import type { LoadedModel } from '../engine/engine.ts';
import { measureContinuation } from './continuation.ts';
import { chunkOf, chunksOf, type Corpus } from './corpus.ts';
import { completeHole, holeKinds, holesOf } from './holes.ts';
import { groupsOf, leastContext, measureNeedles } from './needles.ts';
import { measurePredictions } from './predictions.ts';
import { uniformStream } from './random.ts';
import type { EvaluationResult, Task } from './results.ts';
import { sequences } from './sequences.ts';
import { editSimilarity } from './similarity.ts';
import { measureSpeed } from './speed.ts';
import { keyOf, type Identity } from './store.ts';
import { reference, type Strategy } from './strategies.ts';

export interface Scope {
  readonly tasks: readonly Task[];
  readonly strategies: readonly Strategy[];
  readonly contexts: readonly number[];
  /** Contexts of text that are compared, of each length. */
  readonly chunks: number;
  readonly rounds: number;
  /** Of every kind. */
  readonly holes: number;
}

/** One measurement. */
export interface Step {
  readonly key: string;
  readonly cache: string;
  /** About as many tokens as it evaluates. */
  readonly tokens: number;
  run(
    signal: AbortSignal,
    done: (key: string) => EvaluationResult | undefined,
  ): Promise<EvaluationResult>;
}

/** Needles in a context, side by side. */
export const needleCounts = [1, 4, 16] as const;

/** Tokens that the hole of a file of usual length takes. */
const holeTokens = 4000;

/** All measurements, those of all caches on the same text one after the other: what an interrupt leaves is in pairs. */
export function planOf(
  model: LoadedModel,
  corpus: Corpus,
  text: Int32Array,
  scope: Scope,
  grammars: Grammars,
): Step[] {
  const steps: Step[] = [];
  const { tasks, strategies, contexts } = scope;
  const longest = Math.max(...contexts);
  const chunked = (context: number): number =>
    Math.min(scope.chunks, chunksOf(model, text, context));
  const add = (about: Identity, strategy: Strategy, tokens: number, run: Step['run']): void => {
    steps.push({ key: keyOf(about), cache: strategy.name, tokens, run });
  };
  for (const context of contexts) {
    for (let chunk = 0; chunk < chunked(context); chunk++) {
      const tokens = chunkOf(model, text, context, chunk);
      for (const strategy of strategies) {
        const about = { cache: strategy.name, context, chunk };
        if (tasks.includes('predictions'))
          add({ ...about, task: 'predictions' }, strategy, 2 * context, (signal) =>
            measurePredictions(model, strategy, tokens, chunk, signal),
          );
        if (tasks.includes('continuation'))
          add({ ...about, task: 'continuation' }, strategy, context, (signal, done) => {
            const full = done(keyOf({ ...about, cache: reference.name, task: 'continuation' }));
            const written = full?.task === 'continuation' ? full.text : undefined;
            return measureContinuation(model, strategy, tokens, chunk, written, signal);
          });
      }
    }
  }
  if (tasks.includes('needles'))
    for (const context of contexts.filter((length) => length >= leastContext))
      for (let round = 0; round < scope.rounds; round++) {
        const filler = chunkOf(model, text, context, round % chunksOf(model, text, context));
        for (const needles of needleCounts)
          for (const strategy of strategies) {
            const about: Identity = {
              task: 'needles',
              cache: strategy.name,
              context,
              needles,
              round,
            };
            add(about, strategy, context * groupsOf(needles).length, (signal) =>
              measureNeedles(model, strategy, filler, needles, round, signal),
            );
          }
      }
  if (tasks.includes('hole')) {
    const holes = holeKinds.flatMap((kind) =>
      holesOf(corpus.files.filter(fits), kind, scope.holes, uniformStream(`holes/${kind}`)),
    );
    for (const [index, hole] of holes.entries())
      for (const strategy of strategies) {
        const about = { cache: strategy.name, context: longest, hole: index };
        add({ ...about, task: 'hole' }, strategy, holeTokens, async (signal) => {
          const { native } = model;
          await native.dropSequence(sequences.full);
          await native.beginSequence(sequences.measured, strategy.cache);
          const offered = await completeHole(model, hole, grammars, signal);
          if (!offered.ok) throw Object.assign(new Error(offered.error.message), offered.error);
          const lines = hole.missing.split('\n').length;
          const written = offered.value.text.split('\n').slice(0, lines).join('\n');
          return {
            ...about,
            task: 'hole',
            kind: hole.kind,
            exact: written.trimEnd() === hole.missing.trimEnd(),
            similarity: editSimilarity(written, hole.missing),
          };
        });
      }
  }
  if (tasks.includes('speed'))
    for (const context of contexts) {
      const tokens = chunkOf(model, text, context, 0);
      for (const strategy of strategies)
        add({ task: 'speed', cache: strategy.name, context }, strategy, 2 * context, (signal) =>
          measureSpeed(model, strategy, tokens, signal),
        );
    }
  return steps;
}

/** Long enough to have something far away, and short enough for most models' contexts. */
const fits = ({ text }: { readonly text: string }): boolean =>
  text.length >= 4000 && text.length <= 24_000;
