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

/** Bundles the extension and the sidecar into dist/. Rejects when either does not build. */
export async function bundle() {
  await Promise.all([
    build({
      ...common,
      entryPoints: ['extension/main.ts'],
      outfile: 'dist/extension.cjs',
      format: 'cjs',
      external: ['vscode'],
    }),
    build({
      ...common,
      entryPoints: ['sidecar/main.ts'],
      outfile: 'dist/sidecar.mjs',
      format: 'esm',
      external: ['*.node'],
      // The language server library is CommonJS and requires Node's own modules.
      banner: {
        js: "import { createRequire as createBundleRequire } from 'node:module'; const require = createBundleRequire(import.meta.url);",
      },
    }),
  ]);
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await bundle();
}
