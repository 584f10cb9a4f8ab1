/** A line for whoever started the command; results alone go to stdout. */
export const say = (line: string): void => {
  process.stderr.write(`sightline: ${line}\n`);
};

export const count = (tokens: number): string => tokens.toLocaleString('en').replaceAll(',', ' ');

export const bytes = (value: number): string => {
  if (value < 2 ** 20) return `${(value / 2 ** 10).toFixed(1)} KiB`;
  if (value < 2 ** 30) return `${(value / 2 ** 20).toFixed(2)} MiB`;
  return `${(value / 2 ** 30).toFixed(2)} GiB`;
};

/** In brackets behind a time; nothing where there was nothing to time. */
export const speed = (tokensPerSecond: number | undefined): string =>
  tokensPerSecond === undefined
    ? ''
    : ` (${tokensPerSecond.toFixed(tokensPerSecond < 100 ? 1 : 0)} tokens/s)`;

/** Two digits that count. */
export const short = (value: number): string => String(Number(value.toPrecision(2)));

export const percent = (value: number): string => `${value.toFixed(1)} %`;

/** In percent, of something small. */
export const change = (value: number): string => `${value > 0 ? '+' : ''}${value.toFixed(3)} %`;
