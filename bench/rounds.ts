/** Rounds in which contenders take turns at appending tokens. */
import type { Contender } from './contender.ts';
import { sampleInTurn } from './harness.ts';

/** What every entrant appends in a round. */
export interface Round {
  readonly tokens: number;
  /** Tokens of one turn, of which a round has a whole number. */
  readonly turn: number;
  /** Tokens evaluated at a time. */
  readonly batch: number;
}

/** A contender and the depth it starts every round from. */
export interface Entrant {
  readonly contender: Contender;
  readonly depth: number;
}

/** Runs one round; resolves to the seconds that each entrant took for the round's tokens. */
export async function runRound<K>(
  entrants: ReadonlyMap<K, Entrant>,
  round: Round,
): Promise<ReadonlyMap<K, number>> {
  const turns = new Map<K, () => Promise<number>>();
  for (const [key, { contender, depth }] of entrants) {
    await contender.goTo(depth);
    turns.set(key, () => takeTurn(contender, round));
  }
  const seconds = await sampleInTurn(round.tokens / round.turn, turns);
  const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
  return new Map([...seconds].map(([key, values]) => [key, sum(values)]));
}

/** The seconds of one turn. */
export async function takeTurn(contender: Contender, { turn, batch }: Round): Promise<number> {
  const start = performance.now();
  for (let left = turn; left > 0; left -= batch) await contender.evaluate(Math.min(left, batch));
  return (performance.now() - start) / 1000;
}
