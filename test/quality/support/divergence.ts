/** How far one model's predictions are from another's, position by position. */

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

/** Both are logits, row-major [positions, vocabulary]. */
export function divergence(
  reference: Float32Array,
  other: Float32Array,
  vocabulary: number,
): Divergence {
  if (
    reference.length !== other.length ||
    reference.length % vocabulary !== 0 ||
    reference.length === 0
  )
    throw new RangeError(`${reference.length} and ${other.length} logits of ${vocabulary} tokens`);
  const values: number[] = [];
  let same = 0;
  for (let start = 0; start < reference.length; start += vocabulary) {
    const p = reference.subarray(start, start + vocabulary);
    const q = other.subarray(start, start + vocabulary);
    const [pShift, pTop] = logSumExp(p);
    const [qShift, qTop] = logSumExp(q);
    let sum = 0;
    for (let token = 0; token < vocabulary; token++) {
      const logP = (p[token] ?? Number.NaN) - pShift;
      sum += Math.exp(logP) * (logP - ((q[token] ?? Number.NaN) - qShift));
    }
    if (!Number.isFinite(sum))
      throw new RangeError(`logits of position ${values.length} are not finite`);
    values.push(sum);
    if (pTop === qTop) same++;
  }
  const sorted = values.toSorted((a, b) => a - b);
  const quantile = (share: number): number =>
    sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN;
  return {
    positions: values.length,
    mean: values.reduce((sum, value) => sum + value, 0) / values.length,
    median: quantile(0.5),
    p999: quantile(0.999),
    max: quantile(1),
    sameTop: same / values.length,
  };
}

/** Perplexity of `tokens` by logits of every position; the first token is given. */
export function perplexity(logits: Float32Array, tokens: Int32Array, vocabulary: number): number {
  let sum = 0;
  for (let position = 0; position + 1 < tokens.length; position++) {
    const row = logits.subarray(position * vocabulary, (position + 1) * vocabulary);
    sum += logSumExp(row)[0] - (row[tokens[position + 1] ?? -1] ?? Number.NaN);
  }
  return Math.exp(sum / (tokens.length - 1));
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
