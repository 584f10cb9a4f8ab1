/**
 * Bytes of a size such as 12GB, 8GiB or 900M; undefined: it is none. K, M, G and T are powers of 1024 with every ending: a
 * graphics card of "12 GB" has 12 GiB.
 */
export function parseSize(text: string): number | undefined {
  const [, amount, unit = ''] = /^(\d+(?:\.\d+)?) ?([KMGT])(?:i?B)?$/i.exec(text.trim()) ?? [];
  const power = 'KMGT'.indexOf(unit.toUpperCase()) + 1;
  const size = Math.floor(Number(amount) * 1024 ** power);
  return amount !== undefined && size > 0 && Number.isSafeInteger(size) ? size : undefined;
}
