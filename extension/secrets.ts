/** A line of a trace without the tokens that requests carry. */
export const withoutSecrets = (text: string): string =>
  text.replace(/("token"\s*:\s*)"(?:[^"\\]|\\.)*"/g, '$1"…"');
