/** The part of a diff that is one file's. */
export interface FileDiff {
  readonly text: string;
  /** "src/a.ts: 3 lines added, 1 removed" */
  readonly summary: string;
}

/** The files of a diff as git writes it. */
export function filesOf(diff: string): FileDiff[] {
  return diff
    .split(/^(?=diff --git )/m)
    .filter((text) => text.startsWith('diff --git '))
    .map((text) => {
      const lines = text.trimEnd().split('\n');
      const body = lines.slice(lines.findIndex((line) => line.startsWith('@@')));
      const count = (mark: string): number =>
        body[0]?.startsWith('@@') === true
          ? body.filter((line) => line.startsWith(mark)).length
          : 0;
      const [, path] = /^diff --git .* "?b\/(.*?)"?$/.exec(lines[0] ?? '') ?? [];
      const summary = `${path ?? 'a file'}: ${count('+')} lines added, ${count('-')} removed`;
      return { text: lines.join('\n'), summary };
    });
}

/**
 * As many files as there is room for, the small ones first, in the order of the diff; the others are only named. `sizes`
 * are those of `files`, in the unit of `room`.
 */
export function fitting(
  files: readonly FileDiff[],
  sizes: readonly number[],
  room: number,
): { readonly diff: string; readonly named: number } {
  const bySize = files.map((_file, index) => index);
  bySize.sort((a, b) => (sizes[a] ?? 0) - (sizes[b] ?? 0));
  const shown = new Set<number>();
  let left = room;
  for (const index of bySize) {
    left -= sizes[index] ?? 0;
    if (left < 0) break;
    shown.add(index);
  }
  const texts = files.map((file, index) => (shown.has(index) ? file.text : `# ${file.summary}`));
  return { diff: texts.join('\n'), named: files.length - shown.size };
}
