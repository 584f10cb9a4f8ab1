import type { LoadedModel } from '../engine/engine.ts';
import { runJob } from '../engine/job.ts';
import type { SpeedResult } from './results.ts';
import { sequences } from './sequences.ts';
import { reference, type Strategy } from './strategies.ts';

/** Tokens timed in a turn. In all rounds together some blocks are coded, as in decoding without end. */
const turn = 16;
const rounds = 24;

/** Of decoding behind nearly a whole context: the full cache and the other take turns. */
export async function measureSpeed(
  { native }: LoadedModel,
  strategy: Strategy,
  tokens: Int32Array,
  signal: AbortSignal,
): Promise<SpeedResult> {
  const context = tokens.length;
  const timed = (turn + 1) * rounds;
  const depth = context - timed;
  const ends = { measured: depth, full: depth };
  for (const { sequence, cache } of [
    { sequence: sequences.full, cache: reference.cache },
    { sequence: sequences.measured, cache: strategy.cache },
  ]) {
    await native.beginSequence(sequence, cache);
    for (let at = 0; at < depth; at += 512)
      await runJob(
        native.evaluate(tokens.slice(at, Math.min(at + 512, depth)), 'last', sequence),
        signal,
      );
  }
  const next = async (which: keyof typeof sequences): Promise<void> => {
    const at = ends[which]++;
    await runJob(native.evaluate(tokens.slice(at, at + 1), 'last', sequences[which]), signal);
  };
  const timeTurn = async (which: keyof typeof sequences): Promise<number> => {
    // Coming from the other sequence takes what is not timed.
    await next(which);
    const start = performance.now();
    for (let i = 0; i < turn; i++) await next(which);
    return (1000 * turn) / (performance.now() - start);
  };
  const tokensPerSecond: number[] = [];
  const fullTokensPerSecond: number[] = [];
  for (let round = 0; round < rounds; round++) {
    // A B B A: what grows while it runs meets both.
    if (round % 2 === 1) tokensPerSecond.push(await timeTurn('measured'));
    fullTokensPerSecond.push(await timeTurn('full'));
    if (round % 2 === 0) tokensPerSecond.push(await timeTurn('measured'));
  }
  return { task: 'speed', cache: strategy.name, context, tokensPerSecond, fullTokensPerSecond };
}
