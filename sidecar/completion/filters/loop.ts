/** Where `text` ends in three or more rounds of the same words, keeps the first round. */
export function dropLoop(text: string): string {
  for (let period = 1; period * 3 <= text.length; period++) {
    let start = text.length;
    while (start > period && text[start - 1] === text[start - 1 - period]) start--;
    const looping = text.length - start >= 2 * period && /\w/.test(text.slice(-period));
    if (!looping) continue;
    // Rounds of whole lines: the first one to the end of its last line.
    const lineEnd = text.slice(-period).includes('\n') ? text.indexOf('\n', start) : -1;
    return text.slice(0, lineEnd < 0 ? start : lineEnd);
  }
  return text;
}
