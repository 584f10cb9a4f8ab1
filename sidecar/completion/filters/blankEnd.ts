/** Drops the lines of white space that a text ends in, and what white space its last line ends in. */
export const dropBlankEnd = (text: string): string =>
  /\S/.test(text) ? text.replace(/\s+$/, '') : text;
