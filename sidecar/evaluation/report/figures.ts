/** Numbers as reports write them. */
import type { Estimate } from '../statistics.ts';

export const none = '–';

/** Three digits that count, as people write them. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return none;
  const size = Math.abs(value);
  if (size === 0) return '0';
  if (size < 1e-3) return value.toExponential(1);
  return size >= 1000
    ? Math.round(value).toLocaleString('en').replaceAll(',', ' ')
    : value.toPrecision(3);
}

/** Of a difference; the sign is a part of it. */
export const signed = (value: number): string =>
  value > 0 ? `+${figure(value)}` : figure(value).replace('-', '−');

export const interval = ({ low, high }: Estimate, write = figure): string =>
  `${write(low)} to ${write(high)}`;

export const mebibytes = (bytes: number): string => `${figure(bytes / 2 ** 20)} MiB`;
