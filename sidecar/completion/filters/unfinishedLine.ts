/** Drops the last line, unless it is the only one with text. */
export function dropUnfinishedLine(text: string): string {
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  return /\S/.test(whole) ? whole : text;
}
