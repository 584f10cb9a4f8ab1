import MarkdownIt from 'markdown-it';

const markdown = new MarkdownIt('default', { html: false });

/** Cells as they are written, without the spaces around them. */
export interface Table {
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** Text below a heading, up to the next one of any level. */
export interface Section {
  /** Empty: what stands before the first heading. */
  readonly title: string;
  readonly tables: readonly Table[];
  /** Paragraphs and items of lists, as they are written, each on one line. */
  readonly paragraphs: readonly string[];
}

export function sectionsOf(text: string): readonly Section[] {
  const start = (title: string) => ({
    title,
    tables: new Array<string[][]>(),
    paragraphs: new Array<string>(),
  });
  let section = start('');
  const sections = [section];
  let within = '';
  for (const { type, content } of markdown.parse(text, {})) {
    if (type === 'table_open') section.tables.push([]);
    else if (type === 'tr_open') section.tables.at(-1)?.push([]);
    else if (type !== 'inline') within = type;
    else if (within === 'heading_open') sections.push((section = start(content)));
    else if (within === 'paragraph_open') section.paragraphs.push(onOneLine(content));
    else section.tables.at(-1)?.at(-1)?.push(content);
  }
  return sections.map(({ tables, ...rest }) => ({
    ...rest,
    tables: tables.map(([header = [], ...rows]) => ({ header, rows })),
  }));
}

/** As it is written in a document. */
export const rowText = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

export const onOneLine = (text: string): string => text.replace(/\s+/g, ' ').trim();
