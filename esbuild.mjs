import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('.', import.meta.url));

const common = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  target: 'node20',
  sourcemap: true,
  minify: false,
  legalComments: 'none',
  logLevel: 'warning',
};

const at = (path) => resolve(root, path);

/** The names of the grammars that sidecar/syntax knows. */
async function grammarNames() {
  const languages = { ...common, sourcemap: false, format: 'esm', write: false };
  const { outputFiles } = await build({
    ...languages,
    entryPoints: ['sidecar/syntax/languages.ts'],
  });
  const source = encodeURIComponent(outputFiles[0].text);
  return (await import(`data:text/javascript,${source}`)).grammarNames;
}

/** Puts tree-sitter beside the bundle that loads it, and the grammars and their licence into dist/grammars. */
async function copyGrammars() {
  const from = 'node_modules/@vscode/tree-sitter-wasm';
  const to = 'dist/grammars';
  await rm(at(to), { recursive: true, force: true });
  await mkdir(at(to), { recursive: true });
  const files = (await grammarNames()).map((name) => `tree-sitter-${name}.wasm`);
  await Promise.all([
    copyFile(
      at('node_modules/web-tree-sitter/web-tree-sitter.wasm'),
      at('dist/web-tree-sitter.wasm'),
    ),
    copyFile(at(`${from}/LICENSE`), at(`${to}/LICENSE`)),
    ...files.map((name) => copyFile(at(`${from}/wasm/${name}`), at(`${to}/${name}`))),
  ]);
}

/** A bundle for each page, extension/NAME/view/main.ts, as dist/webview/NAME.js and .css and what is loaded behind it, with the icons that all use. */
async function bundlePages() {
  const to = 'dist/webview';
  const icons = 'node_modules/@vscode/codicons';
  const folders = await readdir(at('extension'));
  const pages = folders
    .map((name) => [name, `extension/${name}/view/main.ts`])
    .filter(([, page]) => existsSync(at(page)));
  await rm(at(to), { recursive: true, force: true });
  await mkdir(at(to), { recursive: true });
  await Promise.all([
    copyFile(at(`${icons}/dist/codicon.css`), at(`${to}/codicon.css`)),
    copyFile(at(`${icons}/dist/codicon.ttf`), at(`${to}/codicon.ttf`)),
    copyFile(at(`${icons}/LICENSE`), at(`${to}/codicon.LICENSE`)),
    // Each for itself: what two of them share would be one more file that they wait for.
    ...pages.map(([name, page]) =>
      build({
        ...common,
        platform: 'browser',
        target: 'es2022',
        minify: true,
        entryPoints: { [name]: page },
        outdir: to,
        format: 'esm',
        splitting: true,
        chunkNames: `${name}-[hash]`,
      }),
    ),
  ]);
}

/** A program of Node's, in one file. */
const bundleProgram = (entry, outfile) =>
  build({
    ...common,
    entryPoints: [entry],
    outfile,
    format: 'esm',
    external: ['*.node'],
    // The language server library is CommonJS and requires Node's own modules.
    banner: {
      js: "import { createRequire as createBundleRequire } from 'node:module'; const require = createBundleRequire(import.meta.url);",
    },
  });

/** Bundles the extension, its pages, the sidecar and the command line into dist/, with the grammars. Rejects when any of it does not build. */
export async function bundle() {
  await Promise.all([
    copyGrammars(),
    bundlePages(),
    build({
      ...common,
      entryPoints: ['extension/main.ts'],
      outfile: 'dist/extension.cjs',
      format: 'cjs',
      external: ['vscode'],
    }),
    bundleProgram('sidecar/main.ts', 'dist/sidecar.mjs'),
    bundleProgram('sidecar/cli/main.ts', 'dist/sightline.mjs'),
  ]);
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await bundle();
}
