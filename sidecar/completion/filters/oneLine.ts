/** What may follow a cursor at which several lines can be written: what closes, ends or separates. */
const closing = /^[\s)\]}>'"`;:,]*$/;

/** In the middle of a line nothing but the rest of that line can be meant: keeps the first line. */
export const keepOneLine = (text: string, restOfLine: string): string =>
  closing.test(restOfLine) ? text : (text.split('\n')[0] ?? '');
