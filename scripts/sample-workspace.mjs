/**
 * A folder of real source files to try completions on, copied out of npm packages that are installed
 * anyway. Two of them are chosen by length, in tokens of the bundled model (context: 8192).
 */
import { mkdir, copyFile, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { at, Failure } from './lib/shell.mjs';

const files = [
  // 7134 tokens: with the markers and what is typed it just about fills the context.
  ['eslint', 'lib/rules/no-restricted-imports.js'],
  // 3053 lines, 27357 tokens: most of it cannot be in sight.
  ['eslint', 'lib/rules/utils/ast-utils.js'],
  ['ajv', 'lib/compile/codegen/code.ts'],
  ['ajv', 'lib/compile/codegen/scope.ts'],
  ['ajv', 'lib/compile/rules.ts'],
  ['eslint', 'lib/shared/string-utils.js'],
  ['mocha', 'lib/pending.js'],
];

const placeOf = ([name, file]) => path.join(name, file.replace('lib/', ''));

/** The file that just about fills the bundled model's context, inside the workspace. */
export const fullFile = placeOf(files[0]);
/** The file of more than 3000 lines, of which most does not fit. */
export const longFile = placeOf(files[1]);

async function originOf(name) {
  const { version, license } = JSON.parse(
    await readFile(at('node_modules', name, 'package.json'), 'utf8'),
  );
  if (!['MIT', 'Apache-2.0'].includes(license)) {
    throw new Failure(`${name} ${version} is under ${license}: not for the sample workspace.`);
  }
  return { name, version, license };
}

/** Writes the workspace anew into `folder`. @returns {Promise<string>} the folder */
export async function makeSampleWorkspace(folder) {
  await rm(folder, { recursive: true, force: true });
  for (const [name, file] of files) {
    const target = path.join(folder, placeOf([name, file]));
    await mkdir(path.dirname(target), { recursive: true });
    await copyFile(at('node_modules', name, file), target);
  }
  const origins = await Promise.all([...new Set(files.map(([name]) => name))].map(originOf));
  for (const { name } of origins) {
    await copyFile(at('node_modules', name, 'LICENSE'), path.join(folder, name, 'LICENSE'));
  }
  const rows = origins.map(({ name, version, license }) => {
    const own = files.filter(([owner]) => owner === name).map((file) => `\`${placeOf(file)}\``);
    return `| ${name} ${version} | ${license} | ${own.join(', ')} |`;
  });
  const readme = [
    '# Sample workspace',
    '',
    'Source files of npm packages, unchanged, to try completions on.',
    '',
    `- \`${fullFile}\` just about fills the context of the bundled model: all of it is in sight.`,
    `- \`${longFile}\` has more than 3000 lines: the status bar's tooltip says what does not fit.`,
    '',
    '| package | licence (text in its folder) | files |',
    '|---|---|---|',
    ...rows,
    '',
  ];
  await writeFile(path.join(folder, 'README.md'), readme.join('\n'));
  return folder;
}
