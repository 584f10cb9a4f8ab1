/** Keeps the first line; of an answer at the end of a line, the first one with text. */
export const keepOneLine = (text: string, restOfLine: string): string =>
  (/\S/.test(restOfLine) ? /^[^\n]*/ : /^\s*[^\n]*/).exec(text)?.[0] ?? '';
