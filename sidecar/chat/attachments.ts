import type { ChatAttachment, FileLeftOut } from '../protocol.ts';
import { Disk } from '../context/disk.ts';
import { untellable } from '../context/secrets.ts';
import type { SourceFile } from '../context/settle.ts';
import { pathOf, type Folder } from '../context/workspace.ts';

/** An attachment's text. */
export interface Attached {
  readonly uri: string;
  /** What the model is told it is: the file's name, and which lines of it. */
  readonly title: string;
  readonly text: string;
  /** The whole file, where the text is only part of it. */
  readonly whole: string;
  readonly isWhole: boolean;
}

export interface AttachmentSources {
  readonly documents: Iterable<SourceFile>;
  readonly folders: readonly Folder[];
  /** Whether a file is none of a model's business. */
  readonly hides: (uri: string) => Promise<boolean>;
}

/** Reads what is attached: as the editor has it open, or as it is on disk. In the order given, each file or range once. */
export async function readAttachments(
  attachments: readonly ChatAttachment[],
  { documents, folders, hides }: AttachmentSources,
): Promise<{ readonly attached: readonly Attached[]; readonly leftOut: readonly FileLeftOut[] }> {
  const open = new Map([...documents].map((document) => [document.uri, document]));
  const paths = attachments
    .filter(({ uri }) => !open.has(uri))
    .map(({ uri }) => pathOf(uri))
    .filter((path) => path !== undefined);
  const onDisk = await new Disk().read(folders, [...new Set(paths)]);
  const attached = new Map<string, Attached>();
  const leftOut: FileLeftOut[] = [];
  for (const { uri, lines } of attachments) {
    const file = open.get(uri) ?? onDisk.get(pathOf(uri) ?? '') ?? 'missing';
    if (typeof file === 'string') {
      leftOut.push({ uri, reason: file });
      continue;
    }
    const reason = (await hides(uri)) ? 'ignored' : untellable(file);
    if (reason !== undefined) {
      leftOut.push({ uri, reason });
      continue;
    }
    const whole = file.text.replaceAll('\r\n', '\n');
    const all = whole.split('\n');
    const title =
      lines === undefined
        ? file.name
        : `${file.name}, lines ${lines.first + 1} to ${lines.last + 1}`;
    const text = lines === undefined ? whole : all.slice(lines.first, lines.last + 1).join('\n');
    const isWhole = lines === undefined || text.length === whole.length;
    attached.set(title, { uri, title, text, whole, isWhole });
  }
  return { attached: [...attached.values()], leftOut };
}
