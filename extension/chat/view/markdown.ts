import DOMPurify from 'dompurify';
import MarkdownIt from 'markdown-it';

type Token = ReturnType<(typeof markdown)['parse']>[number];

/** What a text's link definitions are kept in while it is parsed. */
export type References = Record<string, { title: string; href: string }>;

/** A block on the outermost level: a paragraph, a whole list, a fence. */
export interface Block {
  /** Its first line and the one behind its last, counted from the start of what was parsed. */
  readonly firstLine: number;
  readonly endLine: number;
  readonly tokens: readonly Token[];
  /** Of a fence or indented code. */
  readonly code?: Code;
}

export interface Code {
  readonly text: string;
  /** What stands behind the opening fence. */
  readonly info: string;
  /** Whether its end was seen. */
  readonly isClosed: boolean;
}

// Raw HTML is shown as the text that it is.
const markdown = new MarkdownIt('default', { html: false, linkify: false, typographer: false });

/** Headings of an answer come below those of the page. */
const headingShift = 2;

const { rules } = markdown.renderer;
// Nothing is loaded from anywhere: an image is a link to it.
rules['image'] = (tokens, index) => {
  const token = tokens[index];
  const source = String(token?.attrGet('src') ?? '');
  const { escapeHtml } = markdown.utils;
  return `<a href="${escapeHtml(source)}">${escapeHtml(token?.content === '' ? source : (token?.content ?? ''))}</a>`;
};
const code: NonNullable<(typeof rules)['fence']> = (tokens, index) => {
  const { escapeHtml } = markdown.utils;
  const token = tokens[index];
  return `<pre data-info="${escapeHtml(token?.info ?? '')}">${escapeHtml(token?.content ?? '')}</pre>`;
};
rules['fence'] = code;
rules['code_block'] = code;

/** Everything else is taken out, whatever the renderer writes. */
const allowed = {
  ALLOWED_TAGS:
    'p br hr blockquote ul ol li pre code em strong s a h3 h4 h5 h6 table thead tbody tr th td'.split(
      ' ',
    ),
  ALLOWED_ATTR: ['href', 'title', 'start', 'data-info'],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  ADD_URI_SAFE_ATTR: ['start', 'data-info'],
  ALLOWED_URI_REGEXP: /^(?:https?:\/\/|mailto:)/iu,
  RETURN_DOM_FRAGMENT: true as const,
};

/** Parses Markdown into blocks. `references` has the definitions seen before, and gets those of `text`. */
export function parseBlocks(text: string, references: References): Block[] {
  const lines = text.split('\n');
  const blocks: Block[] = [];
  let group: Token[] = [];
  for (const token of markdown.parse(text, { references })) {
    group.push(token);
    if (token.level > 0 || token.nesting === 1) continue;
    const [firstLine, endLine] = group[0]?.map ?? [0, 0];
    blocks.push({
      firstLine,
      endLine,
      tokens: group.map(shiftHeading),
      ...codeOf(token, lines),
    });
    group = [];
  }
  return blocks;
}

function shiftHeading(token: Token): Token {
  if (token.type === 'heading_open' || token.type === 'heading_close') {
    token.tag = `h${Math.min(6, Number(token.tag.slice(1)) + headingShift)}`;
  }
  return token;
}

function codeOf(token: Token, lines: readonly string[]): { code: Code } | object {
  if (token.type !== 'fence' && token.type !== 'code_block') return {};
  const [first, end] = token.map ?? [0, 0];
  const last = lines[end - 1] ?? '';
  const isClosed =
    token.type === 'code_block' ||
    (end - first > 1 && /^ {0,3}(?:`+|~+)\s*$/u.test(last) && last.includes(token.markup));
  return { code: { text: token.content.replace(/\n$/u, ''), info: token.info, isClosed } };
}

/** The nodes of a block that is no code. Code inside of it, as in a list, is a `pre` with its info string as `data-info`. */
export function renderBlock({ tokens }: Block): DocumentFragment {
  const html = markdown.renderer.render([...tokens], markdown.options, {});
  return DOMPurify.sanitize(html, allowed);
}
