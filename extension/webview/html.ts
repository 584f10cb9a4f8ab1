export interface PageParts {
  readonly name: string;
  /** The address of a file of dist/webview. */
  readonly resource: (file: string) => string;
  /** Where resources come from, as a source of a content security policy. */
  readonly source: string;
  readonly nonce: string;
  readonly language: string;
  /** The translations of what `l10n.t` is given, as JSON; English without one. */
  readonly strings: string;
}

/** A page that runs one script and loads nothing but what is in dist/webview. */
export function pageHtml({ name, resource, source, nonce, language, strings }: PageParts): string {
  const policy = [
    "default-src 'none'",
    "base-uri 'none'",
    "form-action 'none'",
    `script-src 'nonce-${nonce}'`,
    `style-src ${source}`,
    `font-src ${source}`,
    `img-src ${source}`,
  ].join('; ');
  // The controls of @vscode-elements find the icons' style sheet by its id.
  return `<!doctype html>
<html lang="${escapeHtml(language)}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${escapeHtml(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" id="vscode-codicon-stylesheet" href="${escapeHtml(resource('codicon.css'))}">
<link rel="stylesheet" href="${escapeHtml(resource(`${name}.css`))}">
<script type="module" nonce="${nonce}" src="${escapeHtml(resource(`${name}.js`))}"></script>
<title>Sightline</title>
</head>
<body data-strings="${escapeHtml(strings)}"></body>
</html>`;
}

const escapeHtml = (text: string): string =>
  text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
