/** Numbers as people read them. */
import * as l10n from '@vscode/l10n';

/** Groups of three digits, with a space that does not break the line. */
export const formatCount = (count: number): string =>
  String(Math.round(count)).replace(/\B(?=(?:\d{3})+$)/g, '\u00A0');

export function formatBytes(bytes: number): string {
  const mebibytes = bytes / 2 ** 20;
  if (mebibytes < 0.1) return `${Math.round(bytes / 2 ** 10)} KiB`;
  if (mebibytes < 100) return `${mebibytes.toFixed(1)} MiB`;
  return mebibytes < 10_000
    ? `${formatCount(mebibytes)} MiB`
    : `${(mebibytes / 2 ** 10).toFixed(1)} GiB`;
}

/** Two digits that count. */
export const formatShort = (value: number): string => String(Number(value.toPrecision(2)));

export const formatShare = (share: number): string => `${(share * 100).toFixed(1)} %`;

/** How many times smaller than FP16. */
export const formatRatio = (sizes: {
  readonly bytes: number;
  readonly fp16Bytes: number;
}): string => `${(sizes.bytes > 0 ? sizes.fp16Bytes / sizes.bytes : 1).toFixed(1)}x`;

export const formatSpeed = (tokensPerSecond: number): string =>
  l10n.t(
    '{0} tokens/s',
    tokensPerSecond < 100 ? tokensPerSecond.toFixed(1) : formatCount(tokensPerSecond),
  );
