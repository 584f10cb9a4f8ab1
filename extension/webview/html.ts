export interface PageParts {
  readonly name: string;
  /** The address of a file of dist/webview. */
  readonly resource: (file: string) => string;
  /** Where resources come from, as a source of a content security policy. */
  readonly source: string;
  readonly nonce: string;
  readonly language: string;
  /** What is seen until the script draws, in the user's language. */
  readonly loading: string;
  /** The translations of what `l10n.t` is given, as JSON; English without one. */
  readonly strings: string;
}

/** A page that runs one script, which draws into the element `root`, and loads nothing but what is in dist/webview. */
export function pageHtml(parts: PageParts): string {
  const { name, resource, source, nonce, language, loading, strings } = parts;
  const policy = [
    "default-src 'none'",
    "base-uri 'none'",
    "form-action 'none'",
    `script-src 'nonce-${nonce}'`,
    `style-src ${source}`,
    `font-src ${source}`,
    `img-src ${source}`,
  ].join('; ');
  // Style sheets behind the text do not keep it from being drawn at once. The controls of @vscode-elements find that of the
  // icons by its id.
  return `<!doctype html>
<html lang="${escapeHtml(language)}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${escapeHtml(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<script type="module" nonce="${nonce}" src="${escapeHtml(resource(`${name}.js`))}"></script>
<title>Sightline</title>
</head>
<body data-strings="${escapeHtml(strings)}">
<div id="root">${escapeHtml(loading)}</div>
<link rel="stylesheet" id="vscode-codicon-stylesheet" href="${escapeHtml(resource('codicon.css'))}">
<link rel="stylesheet" href="${escapeHtml(resource(`${name}.css`))}">
</body>
</html>`;
}

const escapeHtml = (text: string): string =>
  text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
