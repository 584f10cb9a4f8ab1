/** How far one model's predictions are from another's, position by position. */
import { quantile } from '../sidecar/evaluation/statistics.ts';

export interface Divergence {
  readonly positions: number;
  /** Kullback-Leibler divergence from the reference, in nats. */
  readonly mean: number;
  readonly median: number;
  readonly p999: number;
  readonly max: number;
  /** Share of positions where both find the same token the likeliest. */
  readonly sameTop: number;
}

/** Of a token, in nats, by one row of logits. */
export const logProbability = (logits: Float32Array, token: number): number =>
  (logits[token] ?? Number.NaN) - logSumExp(logits)[0];

/** Two models' predictions of the same positions, taken in piece by piece; no logits are kept. */
export class Predictions {
  readonly #vocabulary: number;
  readonly #divergences: number[] = [];
  #sameTop = 0;
  #tokens = 0;
  #referenceLoss = 0;
  #otherLoss = 0;

  constructor(vocabulary: number) {
    this.#vocabulary = vocabulary;
  }

  /**
   * Both are logits, row-major [positions, vocabulary]. `next` are the tokens that did follow, one
   * per position; there may be fewer, where what follows the last is not known.
   */
  add(reference: Float32Array, other: Float32Array, next: Int32Array = new Int32Array()): void {
    const size = this.#vocabulary;
    if (reference.length !== other.length || reference.length % size !== 0)
      throw new RangeError(`${reference.length} and ${other.length} logits of ${size} tokens`);
    for (let start = 0, row = 0; start < reference.length; start += size, row++) {
      const p = reference.subarray(start, start + size);
      const q = other.subarray(start, start + size);
      const [pShift, pTop] = logSumExp(p);
      const [qShift, qTop] = logSumExp(q);
      let sum = 0;
      for (let token = 0; token < size; token++) {
        const logP = (p[token] ?? Number.NaN) - pShift;
        sum += Math.exp(logP) * (logP - ((q[token] ?? Number.NaN) - qShift));
      }
      if (!Number.isFinite(sum))
        throw new RangeError(`logits of position ${this.#divergences.length} are not finite`);
      this.#divergences.push(sum);
      if (pTop === qTop) this.#sameTop++;
      const token = next[row];
      if (token === undefined) continue;
      this.#tokens++;
      this.#referenceLoss += pShift - (p[token] ?? Number.NaN);
      this.#otherLoss += qShift - (q[token] ?? Number.NaN);
    }
  }

  divergence(): Divergence {
    const positions = this.#divergences.length;
    if (positions === 0) throw new RangeError('there are no predictions');
    return {
      positions,
      mean: this.#divergences.reduce((sum, value) => sum + value, 0) / positions,
      median: quantile(this.#divergences, 0.5),
      p999: quantile(this.#divergences, 0.999),
      max: quantile(this.#divergences, 1),
      sameTop: this.#sameTop / positions,
    };
  }

  /** Perplexity of the tokens that did follow. */
  perplexity(): { readonly reference: number; readonly other: number } {
    return {
      reference: Math.exp(this.#referenceLoss / this.#tokens),
      other: Math.exp(this.#otherLoss / this.#tokens),
    };
  }
}

/** Of logits that are all there, as for `Predictions`. */
export function divergence(
  reference: Float32Array,
  other: Float32Array,
  vocabulary: number,
): Divergence {
  const predictions = new Predictions(vocabulary);
  predictions.add(reference, other);
  return predictions.divergence();
}

/** Logarithm of the sum of exponentials, and the index of the largest logit. */
function logSumExp(logits: Float32Array): [number, number] {
  let top = 0;
  for (let token = 1; token < logits.length; token++)
    if ((logits[token] ?? Number.NaN) > (logits[top] ?? Number.NaN)) top = token;
  const max = logits[top] ?? Number.NaN;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - max);
  return [max + Math.log(sum), top];
}

export function describeDivergence(value: Divergence): string {
  const { positions, mean, median, p999, max, sameTop } = value;
  const nats = [mean, median, p999, max].map((nat) => nat.toExponential(1)).join(' / ');
  return `KLD mean/median/99.9 %/max ${nats} nats, same top ${(100 * sameTop).toFixed(2)} %, ${positions} positions`;
}
