import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { z } from 'zod';
import { documents, limits } from './support/figures.ts';
import { rowText, sectionsOf } from './support/markdown.ts';
import { recordedRuns, reports } from './support/results.ts';

const read = (path: string): string =>
  readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

/** Numbers of a text, not those in names (`FP16`, Qwen2.5-Coder-0.5B), code and addresses. */
const numbersOf = (text: string): readonly string[] =>
  text.replace(/`[^`]*`|\]\([^)]*\)|\b[A-Za-z][\w.-]*/g, '').match(/\d+(?:\.\d+| \d{3})*/g) ?? [];

for (const { path, tables, quotes, ...document } of documents) {
  describe(path, () => {
    const sections = sectionsOf(read(path));
    const written = sections.flatMap((section) => section.tables);
    const text = sections.flatMap(({ paragraphs }) => paragraphs).join('\n');

    it('has no table but those that are known', () => {
      assert.deepEqual(
        written.map(({ header }) => rowText(header)),
        tables.map(({ header }) => rowText(header)),
        `${path}: a new table or header is to be described in test/unit/support/figures.ts`,
      );
    });

    for (const [index, { header, rows }] of tables.entries()) {
      if (rows === undefined) continue;
      it(`has the figures of docs/results in the table ${rowText(header)}`, () => {
        const expected = rows().map(rowText);
        const message = `${path}: by docs/results the rows are\n${expected.join('\n')}\n`;
        assert.deepEqual(written[index]?.rows.map(rowText), expected, message);
      });
    }

    it('quotes the figures of docs/results in its sentences', () => {
      const missing = quotes().filter((quote) => !text.includes(quote));
      assert.deepEqual(missing, [], `${path}: by docs/results it is\n${missing.join('\n')}\n`);
    });

    it('has no numbers of unknown origin in the sentences of sections with figures', () => {
      const { setup } = document;
      for (const piece of setup) assert.ok(text.includes(piece), `${path} has no "${piece}"`);
      for (const title of document.sections) {
        const section = sections.find((candidate) => candidate.title === title);
        assert.ok(section, `${path} has no section "${title}"`);
        for (const paragraph of section.paragraphs) {
          const rest = [...quotes(), ...setup].reduce(
            (left, piece) => left.replaceAll(piece, ' '),
            paragraph,
          );
          const message = `${path}, "${title}": describe this in test/unit/support/figures.ts: ${rest}`;
          assert.deepEqual(numbersOf(rest), [], message);
        }
      }
    });
  });
}

describe('the other documents', () => {
  const units =
    /\b\d[\d.,]*(?: ?%| ?x\b| (?:[mµu]?s|seconds|nats|times|[KMG]i?B|tokens\/s|GB\/s)\b)/;

  for (const name of readdirSync(new URL('../../docs', import.meta.url))) {
    const path = `docs/${name}`;
    if (!name.endsWith('.md') || documents.some((document) => document.path === path)) continue;
    it(`have no figures: ${path}`, () => {
      const text = read(path).replace(/\s+/g, ' ');
      const pieces = limits[path] ?? [];
      assert.deepEqual(
        pieces.filter((piece) => !text.includes(piece)),
        [],
      );
      const rest = pieces.reduce((left, piece) => left.replaceAll(piece, ' '), text);
      assert.doesNotMatch(rest, units, `${path}: is this a figure? Then a run is to record it.`);
    });
  }
});

describe('docs/results', () => {
  const { scripts } = z
    .object({ scripts: z.record(z.string(), z.string()) })
    .parse(JSON.parse(read('package.json')));

  /** By the name of the run: the command that writes it. */
  const commands = new Map(
    sectionsOf(read('docs/benchmarks.md'))
      .find(({ title }) => title === 'Recorded runs')
      ?.tables[0]?.rows.map(([file = '', command = '']) => [
        file.replace(/^`(.*)\.json`$/, '$1'),
        command.replace(/^`(.*)`$/, '$1'),
      ]),
  );

  it('has the files that docs/benchmarks.md lists, and no others', () => {
    assert.deepEqual([...commands.keys()].sort(), [...recordedRuns.keys()].sort());
  });

  for (const [name, { bench, rows }] of recordedRuns) {
    it(`has ${name}.json from the command that is listed`, () => {
      const [, script = '', cases = '', file] =
        /^npm run (\S+) --(?: --model "[^"]*")?(?: --cases '(.*)')? --json docs\/results\/(\S+)$/.exec(
          commands.get(name) ?? '',
        ) ?? [];
      assert.equal(file, `${name}.json`, commands.get(name));
      assert.equal(scripts[script], `node --import tsx bench/${bench}.ts`, script);
      // Stock's own rows, and what else a case needs, are there without being selected.
      const asked = rows.filter(({ must }) => must !== undefined).map((row) => row.case);
      for (const one of asked) assert.match(one, new RegExp(cases));
    });
  }

  for (const [name, { command, complete, verdicts }] of reports) {
    it(`has ${name} from a command that is written down, whole`, () => {
      const written = `npm run eval -- ${command.replace(/^\S+ eval /, '')}`;
      const model = '"$(npm run --silent model:key-biases)"';
      const line = written.replace(/build\/models\/bundled-key-biases-\w+\.gguf/, model);
      assert.ok(read('docs/evaluation.md').includes(`\n    ${line}\n`), line);
      assert.ok(complete);
      // Said in the document: a window of 256 tokens, of which a context of 4 096 has many.
      const missed = verdicts.filter(({ verdict }) => verdict === 'missed');
      assert.deepEqual(
        missed.map((one) => `${one.claim} (${one.cache}, ${one.context})`),
        ['int8: times smaller than FP16 (selective:int8, 4096)'],
      );
    });
  }

  it('has commands that exist in the documents that quote it', () => {
    for (const { path } of documents)
      for (const [command, script = ''] of read(path).matchAll(/\bnpm run ([\w:]+)/g))
        assert.ok(scripts[script] !== undefined, `${path}: there is no ${command}`);
  });
});
