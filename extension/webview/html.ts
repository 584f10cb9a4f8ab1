export interface PageParts {
  readonly name: string;
  /** The address of a file of dist/webview. */
  readonly resource: (file: string) => string;
  /** Where resources come from, as a source of a content security policy. */
  readonly source: string;
  readonly nonce: string;
  readonly language: string;
  /** The page's own style sheet. */
  readonly styles: string;
  /** What is seen until the script draws: HTML, in the user's language. */
  readonly first: string;
  /** The translations of what `l10n.t` is given, as JSON; English without one. */
  readonly strings: string;
}

/**
 * A page that is seen at once, and runs one script, which draws into the element `root`, and loads nothing but what is in
 * dist/webview. VS Code hides a page until it has loaded all that its HTML names: that is nothing, and the script and the
 * icons come behind it.
 */
export function pageHtml(parts: PageParts): string {
  const { name, resource, source, nonce, language, styles, first, strings } = parts;
  const policy = [
    "default-src 'none'",
    "base-uri 'none'",
    "form-action 'none'",
    `script-src 'nonce-${nonce}'`,
    `style-src ${source} 'nonce-${nonce}'`,
    `font-src ${source}`,
    `img-src ${source}`,
  ].join('; ');
  // The controls of @vscode-elements find the style sheet of the icons by its id.
  return `<!doctype html>
<html lang="${escapeHtml(language)}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${escapeHtml(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sightline</title>
<style nonce="${nonce}">${styles}</style>
</head>
<body data-strings="${escapeHtml(strings)}">
<div id="root">${first}</div>
<template id="later">
<link rel="stylesheet" id="vscode-codicon-stylesheet" href="${escapeHtml(resource('codicon.css'))}">
<script type="module" nonce="${nonce}" src="${escapeHtml(resource(`${name}.js`))}"></script>
</template>
<script nonce="${nonce}">addEventListener('load', () => document.body.append(document.getElementById('later').content));</script>
</body>
</html>`;
}

export const escapeHtml = (text: string): string =>
  text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
