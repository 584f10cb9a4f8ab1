/** A line for whoever started the command; results alone go to stdout. */
export const say = (line: string): void => {
  process.stderr.write(`sightline: ${line}\n`);
};
