/**
 * Brings a fresh machine to where the project builds: system tools, npm packages, llama.cpp's
 * headers. Runs on Node's own modules alone, and does nothing twice (build/stamps).
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { at, Failure, heading, main, npm, onPath, run } from './lib/shell.mjs';
import { once } from './lib/stamp.mjs';

/** The oldest Node that ESLint and esbuild run on. The extension itself needs 20.0. */
const oldestNode = [20, 19];

/** System tools: how to tell that one is there, and which package brings it. */
const tools = {
  git: { apt: 'git', brew: 'git' },
  cmake: { apt: 'cmake', brew: 'cmake' },
  ninja: { apt: 'ninja-build', brew: 'ninja' },
  'g++': { apt: 'g++', brew: 'gcc' },
  'clang-format': { apt: 'clang-format', brew: 'clang-format' },
  chromium: { apt: 'chromium', brew: 'chromium' },
  'aarch64-linux-gnu-g++': { apt: 'g++-aarch64-linux-gnu' },
  'qemu-aarch64': { apt: 'qemu-user' },
  wine: { apt: 'wine' },
  doctest: {
    apt: 'doctest-dev',
    brew: 'doctest',
    found: () =>
      ['/usr', '/usr/local', '/opt/homebrew'].some((prefix) =>
        existsSync(path.join(prefix, 'include/doctest/doctest.h')),
      ),
  },
};

/** What building needs; tests ask for more. */
export const buildTools = ['git', 'cmake', 'ninja', 'g++'];

/** The prebuilt llama.cpp, one npm package for each platform, by Node's names for these. */
const prebuiltPackages = {
  'linux-x64': 'linux-x64',
  'linux-arm64': 'linux-arm64',
  'darwin-arm64': 'mac-arm64-metal',
  'win32-x64': 'win-x64',
};

/** The package that has the matching source. Libraries and headers are only good as a pair. */
export const source = {
  name: 'node-llama-cpp',
  version: '3.22.1',
  sha512:
    'bltIipuWmc123H7tMIgDGKSsSrhmhlQYeVUC48XTjVW7XGJJiJJyCdlTMzQ/LiWoPkGDpcL4FviDpgw7qfTiDw==',
};

/** This platform, by Node's and VS Code's names for it. */
export const hostTarget = `${process.platform}-${process.arch}`;

/** The folder of a platform's prebuilt libraries. */
export function librariesFolder(target = hostTarget) {
  const platform = prebuiltPackages[target];
  if (platform === undefined) {
    throw new Failure(
      `There is no prebuilt llama.cpp for ${target}. ` +
        `Sightline runs on: ${Object.keys(prebuiltPackages).join(', ')}.`,
    );
  }
  const folder = at('node_modules/@node-llama-cpp', platform, 'bins', platform);
  if (!existsSync(folder)) {
    throw new Failure(
      `The package @node-llama-cpp/${platform} is not installed (was npm run with --omit=optional?). ` +
        'Run: npm install --ignore-scripts',
    );
  }
  return folder;
}

function requireNode() {
  const version = process.versions.node;
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major < oldestNode[0] || (major === oldestNode[0] && minor < oldestNode[1])) {
    throw new Failure(`Building needs Node ${oldestNode.join('.')} or newer; this is ${version}.`);
  }
}

/**
 * Makes sure that the named system tools are there: installs them on Debian and Ubuntu as root, and
 * elsewhere stops with the command that does.
 */
export async function requireTools(names) {
  const missing = names.filter((name) => !(tools[name].found?.() ?? onPath(name)));
  if (missing.length === 0) return;

  const apt = ['apt-get', 'install', '-y', '--no-install-recommends'];
  const packages = missing.map((name) => tools[name].apt);
  if (onPath('apt-get') !== undefined) {
    if (process.getuid?.() !== 0) {
      throw new Failure(
        `Missing: ${missing.join(', ')}. Run this, then try again:\n\n` +
          `    sudo apt-get update && sudo ${[...apt, ...packages].join(' ')}`,
      );
    }
    heading(`installing ${packages.join(', ')}`);
    const env = { DEBIAN_FRONTEND: 'noninteractive' };
    const quiet = ['-qq', '-o', 'DPkg::Lock::Timeout=120', '-o', 'Dpkg::Use-Pty=0'];
    await run('apt-get', [...quiet, 'update'], { env });
    await run('apt-get', [...quiet, ...apt.slice(1), ...packages], { env });
    return;
  }
  const how =
    process.platform === 'darwin'
      ? `Run this, then try again:\n\n    brew install ${missing.map((name) => tools[name].brew).join(' ')}`
      : 'Install them with the package manager of your system, then try again.';
  throw new Failure(`Missing: ${missing.join(', ')}. ${how}`);
}

async function installPackages() {
  await once(
    'packages',
    { files: [at('package-lock.json')], outputs: [at('node_modules/.package-lock.json')] },
    async () => {
      heading('npm packages');
      // Not `npm ci`: it fails where a registry lacks another platform's optional package, which has
      // then no entry in the lock file. This installs the versions of the lock file all the same.
      await npm(['install', '--no-save', '--ignore-scripts', '--prefer-offline']);
    },
  );
}

/**
 * A package of npm's registry, checked against its hash, which no lock file has.
 * @param {{ name: string, version: string, sha512: string }} wanted
 * @returns {Promise<string>} the path of its archive in `folder`
 */
export async function fetchPackage({ name, version, sha512 }, folder) {
  await mkdir(folder, { recursive: true });
  const archive = path.join(folder, `${name.replace('@', '').replace('/', '-')}-${version}.tgz`);
  if (!existsSync(archive)) {
    const spec = `${name}@${version}`;
    await npm(['pack', spec, '--prefer-offline', '--silent', '--pack-destination', folder], {
      cwd: folder,
    });
  }
  const hash = createHash('sha512');
  const actual = hash.update(await readFile(archive)).digest('base64');
  if (actual === sha512) return archive;
  await rm(archive);
  throw new Failure(
    `${name}@${version} from the npm registry is not the file that was pinned:\n` +
      `  expected sha512-${sha512}\n  received sha512-${actual}\nNothing of it was used.`,
  );
}

/** The llama.cpp release of the libraries, checked to be one pair with the headers. */
async function releaseOfLibraries() {
  const libraries = librariesFolder();
  const manifest = JSON.parse(await readFile(path.join(libraries, '../../package.json'), 'utf8'));
  if (manifest.version !== source.version) {
    throw new Failure(
      `${manifest.name} is at ${manifest.version}, but the headers are those of ` +
        `${source.name}@${source.version}. Their structs would not match: give package.json's ` +
        'optionalDependencies and scripts/bootstrap.mjs the same version.',
    );
  }
  const metadata = await readFile(path.join(libraries, '_nlcBuildMetadata.json'), 'utf8');
  return JSON.parse(metadata).buildOptions.llamaCpp.release;
}

/** Unpacks llama.cpp's source, or what git's `paths` name of it: an archive of `source` has it as a bundle. */
export async function unpackSource(archive, folder, ...paths) {
  const work = `${folder}-work`;
  await rm(work, { recursive: true, force: true });
  await mkdir(path.join(work, 'files'), { recursive: true });
  const bundle = 'package/llama/gitRelease.bundle';
  await run('tar', ['-xzf', archive, '-C', work, bundle]);
  const git = (...args) => run('git', ['--git-dir', path.join(work, 'git'), ...args]);
  await git('init', '--quiet', '--bare');
  await git('fetch', '--quiet', path.join(work, bundle), 'HEAD');
  const files = path.join(work, 'files.tar');
  await git('archive', '-o', files, 'FETCH_HEAD', ...paths);
  await run('tar', ['-xf', files, '-C', path.join(work, 'files')]);
  await rm(folder, { recursive: true, force: true });
  await rename(path.join(work, 'files'), folder);
  await rm(work, { recursive: true });
}

/** The headers of a release of llama.cpp, and its name in a file RELEASE, into `folder`. */
export async function fetchHeaders(folder, from, release) {
  const headersFolder = path.join(folder, 'headers');
  const releaseFile = path.join(folder, 'RELEASE');
  await once(
    path.basename(folder),
    { text: [JSON.stringify(from), release], outputs: [headersFolder, releaseFile] },
    async () => {
      heading(`headers of llama.cpp ${release}`);
      const archive = await fetchPackage(from, folder);
      await unpackSource(archive, headersFolder, 'include', 'ggml/include', ':(glob)ggml/src/*.h');
      await writeFile(releaseFile, `${release}\n`);
    },
  );
}

/** npm packages, for scripts that need no native build. */
export async function bootstrapPackages() {
  requireNode();
  await installPackages();
}

/** Everything that building needs. */
export async function bootstrap() {
  requireNode();
  await requireTools(buildTools);
  await installPackages();
  await fetchHeaders(at('build/llama.cpp'), source, await releaseOfLibraries());
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main(bootstrap);
