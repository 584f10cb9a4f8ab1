import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fail, succeed, type Result } from '../result.ts';
import type { Addon } from './addon.ts';
import type { Failure } from './failure.ts';

/** The platforms that llama.cpp's libraries come prebuilt for, as `process.platform-process.arch`. */
const platforms: readonly string[] = ['linux-x64', 'linux-arm64', 'darwin-arm64', 'win32-x64'];

export interface LoadedAddon {
  readonly addon: Addon;
  /** Its file. */
  readonly path: string;
  /** Folder of the prebuilt llama.cpp libraries: they lie beside the addon. */
  readonly librariesPath: string;
  /** Of llama.cpp. */
  readonly release: string;
}

/** The folder of package.json, above both the sources and the bundle. */
export function extensionRoot(): string {
  const start = dirname(fileURLToPath(import.meta.url));
  for (let folder = start; ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'package.json'))) return folder;
    if (folder === dirname(folder)) return dirname(start);
  }
}

export const bundledModelPath = (root = extensionRoot()): string =>
  join(root, 'media', 'models', 'sightline-tiny-code-q8_0.gguf');

/** Where the build puts the grammars of `sidecar/syntax`. */
export const grammarsFolder = (root = extensionRoot()): string => join(root, 'dist', 'grammars');

/** Brings in `dist/native/sightline.node` and checks that it runs with the llama.cpp it was built for. */
export function loadAddon(
  root = extensionRoot(),
  platform = `${process.platform}-${process.arch}`,
  requireAddon: (path: string) => unknown = createRequire(import.meta.url),
): Result<LoadedAddon, Failure> {
  const path = join(root, 'dist', 'native', 'sightline.node');
  if (!existsSync(path)) {
    return platforms.includes(platform)
      ? fail({
          code: 'ADDON_MISSING',
          message: `Sightline's native part is not at ${path}. In a checkout run "npm run build"; otherwise reinstall the extension for ${platform}.`,
        })
      : fail({
          code: 'PLATFORM_UNSUPPORTED',
          message: `llama.cpp does not come prebuilt for ${platform}. Sightline runs on ${platforms.join(', ')}.`,
        });
  }
  let addon: Addon;
  try {
    addon = requireAddon(path) as Addon;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return fail({
      code: 'ADDON_UNLOADABLE',
      message: `Sightline's native part at ${path} does not load: ${reason}. Run "npm run build", or reinstall the extension for ${platform}.`,
    });
  }
  const { built, loaded } = addon.release;
  if (built !== loaded) {
    return fail({
      code: 'RELEASE_MISMATCH',
      message: `Sightline was built for llama.cpp ${built}, but the libraries in ${dirname(path)} are ${loaded}. Run "npm run build", or reinstall the extension.`,
    });
  }
  return succeed({ addon, path, librariesPath: dirname(path), release: loaded });
}
