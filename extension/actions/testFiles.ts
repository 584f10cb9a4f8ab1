import { posix } from 'node:path';

/** Where a new test goes, and a test that shows how they are written here; paths in the workspace folder. */
export interface TestPlace {
  readonly path: string;
  readonly like?: string;
}

/** How the name of a test is made of that of what it tests: `before` and `after` it, without the extension. */
interface Naming {
  readonly before: string;
  readonly after: string;
}

const namings: readonly Naming[] = [
  { before: '', after: '.test' },
  { before: '', after: '.spec' },
  { before: '', after: '_test' },
  { before: '', after: '_spec' },
  { before: '', after: '-test' },
  { before: '', after: '-spec' },
  { before: '', after: 'Tests' },
  { before: '', after: 'Test' },
  { before: '', after: 'Spec' },
  { before: 'test_', after: '' },
  { before: 'test-', after: '' },
];

/** Where files of that ending have their tests when there are none to go by: naming, and folder of a file in `folder`. */
interface Custom extends Naming {
  readonly folder: (folder: string) => string;
}

const beside = (folder: string): string => folder;
const inFolder =
  (name: string) =>
  (folder: string): string =>
    posix.join(name, folder.replace(/^(?:src|lib|app)(?=\/|$)\/?/, ''));

const javaFolder = (folder: string): string =>
  /(?:^|\/)src\/main(?:\/|$)/.test(folder)
    ? folder.replace(/(^|\/)src\/main(?=\/|$)/, '$1src/test')
    : folder;

const customs: Readonly<Record<string, Custom>> = {
  '.py': { before: 'test_', after: '', folder: inFolder('tests') },
  '.go': { before: '', after: '_test', folder: beside },
  '.rs': { before: '', after: '_test', folder: () => 'tests' },
  '.java': { before: '', after: 'Test', folder: javaFolder },
  '.kt': { before: '', after: 'Test', folder: javaFolder },
  '.scala': { before: '', after: 'Spec', folder: javaFolder },
  '.cs': { before: '', after: 'Tests', folder: beside },
  '.rb': { before: '', after: '_spec', folder: inFolder('spec') },
  '.php': { before: '', after: 'Test', folder: inFolder('tests') },
  '.swift': { before: '', after: 'Tests', folder: inFolder('Tests') },
  '.c': { before: '', after: '_test', folder: inFolder('test') },
  '.cc': { before: '', after: '_test', folder: inFolder('test') },
  '.cpp': { before: '', after: '_test', folder: inFolder('test') },
  '.dart': { before: '', after: '_test', folder: inFolder('test') },
};

const besideWithDot: Custom = { before: '', after: '.test', folder: beside };

/** Endings of which one tests the other. */
const families = [['.ts', '.tsx', '.mts', '.cts', '.js', '.jsx', '.mjs', '.cjs']];
const isKin = (a: string, b: string): boolean =>
  a === b || families.some((family) => family.includes(a) && family.includes(b));

interface Split {
  readonly folder: string;
  readonly stem: string;
  readonly extension: string;
}

function split(path: string): Split {
  const extension = posix.extname(path);
  const folder = posix.dirname(path);
  return { folder: folder === '.' ? '' : folder, stem: posix.basename(path, extension), extension };
}

const matches = (stem: string, { before, after }: Naming): boolean =>
  stem.length > before.length + after.length && stem.startsWith(before) && stem.endsWith(after);

const segments = (folder: string): string[] => (folder === '' ? [] : folder.split('/'));

/**
 * Where tests of files in `folder` are when those of `source` are in `test`: what the two do not have in common, at the
 * beginning and at the end, becomes the same there. Undefined where that says nothing about the folder.
 */
function related(folder: string, source: string, test: string): string | undefined {
  const [a, b, parts] = [segments(source), segments(test), segments(folder)];
  const shorter = Math.min(a.length, b.length);
  let head = 0;
  while (head < shorter && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < shorter - head && a.at(-1 - tail) === b.at(-1 - tail)) tail++;
  const from = a.slice(head, a.length - tail);
  const to = b.slice(head, b.length - tail);
  if (from.length === 0) {
    // A folder in each folder, or none; else one that all of it is in again.
    const at = tail === 0 && a.length > 0 ? parts.length : Math.min(head, parts.length);
    return [...parts.slice(0, at), ...to, ...parts.slice(at)].join('/');
  }
  const isAt = (index: number): boolean => from.every((part, i) => parts[index + i] === part);
  const at = isAt(head) ? head : parts.findIndex((_part, index) => isAt(index));
  return at === -1
    ? undefined
    : [...parts.slice(0, at), ...to, ...parts.slice(at + from.length)].join('/');
}

/** How many folders one goes up and down from the one to the other. */
function distance(a: string, b: string): number {
  const [one, other] = [segments(a), segments(b)];
  let head = 0;
  while (head < Math.min(one.length, other.length) && one[head] === other[head]) head++;
  return one.length + other.length - 2 * head;
}

/**
 * Where tests of `source` go, as the project has them: of all pairs of a file and its test the nearest to `source` says
 * how folder and name are related. Where there is no such pair, beside the nearest test; without any, as is usual in the
 * language. `files`: paths in the workspace folder, of tests and others; the path is of none of them.
 */
export function placeForTest(source: string, files: readonly string[]): TestPlace {
  const { folder, stem, extension } = split(source);
  const kin = files
    .map((path) => ({ path, ...split(path) }))
    .filter((file) => isKin(file.extension, extension));
  const tests = kin.flatMap((test) => {
    const naming = namings.find((one) => matches(test.stem, one));
    return naming === undefined || test.path === source ? [] : [{ ...test, naming }];
  });
  tests.sort((a, b) => distance(folder, a.folder) - distance(folder, b.folder));
  const pairs = tests.flatMap((test) => {
    const { before, after } = test.naming;
    const subject = test.stem.slice(before.length, test.stem.length - after.length);
    return kin
      .filter((file) => file.stem === subject)
      .map((file) => ({ test, folder: file.folder, apart: distance(file.folder, test.folder) }));
  });
  pairs.sort(
    (a, b) => distance(folder, a.folder) - distance(folder, b.folder) || a.apart - b.apart,
  );
  const [pair] = pairs.flatMap(({ test, folder: subject }) => {
    const target = related(folder, subject, test.folder);
    return target === undefined ? [] : [{ test, target }];
  });
  const like = pair?.test ?? tests[0];
  const custom = customs[extension] ?? besideWithDot;
  const { before, after } = like?.naming ?? custom;
  const target = pair?.target ?? like?.folder ?? custom.folder(folder);
  const taken = new Set(files);
  for (let number = 1; ; number++) {
    const name = `${before}${stem}${number === 1 ? '' : number}${after}${extension}`;
    const path = posix.join(target, name);
    if (!taken.has(path)) return { path, ...(like === undefined ? {} : { like: like.path }) };
  }
}
