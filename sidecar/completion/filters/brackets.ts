/** How many brackets and quotes `text` opens without closing them; strings are not looked into. */
export function unclosed(text: string): number {
  const closers: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' };
  const open: string[] = [];
  for (const character of text) {
    const closer = closers[character];
    if (character === open.at(-1)) open.pop();
    else if (closer !== undefined) open.push(closer);
    else if ('"\'`'.includes(character)) open.push(character);
  }
  return open.length;
}
