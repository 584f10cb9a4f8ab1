import assert from 'node:assert/strict';
import { mkdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Disk, longestFile } from '../../../sidecar/context/disk.ts';
import { areNearDuplicates, linesOf } from '../../../sidecar/context/duplicates.ts';
import { IgnoreRules } from '../../../sidecar/context/ignored.ts';
import { folderOf, nameIn, pathOf, uriOf } from '../../../sidecar/context/workspace.ts';
import { folderWith } from '../support/folder.ts';

describe('names and folders', () => {
  const one = [{ uri: 'file:///home/me/my%20app', name: 'my app' }];
  const two = [...one, { uri: 'file:///home/me/lib/', name: 'lib' }];

  it('calls a file by its path in its folder', () => {
    assert.equal(nameIn(one, 'file:///home/me/my%20app/src/a%2Bb.ts'), 'src/a+b.ts');
    assert.equal(nameIn(two, 'file:///home/me/my%20app/a.ts'), 'my app/a.ts');
    assert.equal(nameIn(two, 'file:///home/me/lib/a.ts'), 'lib/a.ts');
  });

  it('calls anything else by the last part of its URI', () => {
    assert.equal(nameIn(one, 'file:///home/me/my%20application/a.ts'), 'a.ts');
    assert.equal(nameIn([], 'file:///a/my%20file.ts'), 'my file.ts');
    assert.equal(nameIn(one, 'untitled:Untitled-1'), 'Untitled-1');
    assert.equal(nameIn([], 'vscode-notebook-cell:/a/b.ipynb#W0sZmlsZQ%3D%3D'), 'b.ipynb');
    assert.equal(nameIn([], 'file:///a/%zz.ts'), '%zz.ts');
  });

  it('knows the innermost folder of a file', () => {
    const nested = [...one, { uri: 'file:///home/me/my%20app/packages/x', name: 'x' }];
    assert.equal(folderOf(nested, '/home/me/my app/packages/x/a.ts'), '/home/me/my app/packages/x');
    assert.equal(folderOf(nested, '/home/me/my app/packages/xy/a.ts'), '/home/me/my app');
    assert.equal(folderOf(nested, '/home/me/a.ts'), undefined);
    assert.equal(folderOf(nested, '/home/me/my app'), undefined);
  });

  it('goes from URIs to paths and back', () => {
    assert.equal(pathOf('file:///a/b%20c@d.ts'), '/a/b c@d.ts');
    assert.equal(pathOf(uriOf('/a/b c@d.ts')), '/a/b c@d.ts');
    assert.equal(pathOf('untitled:Untitled-1'), undefined);
  });
});

describe('IgnoreRules', () => {
  it('follows git, and .sightlineignore, folder by folder', async () => {
    const folder = folderWith({
      '.gitignore': 'dist/\n*.log\n/only-here.ts\n!keep.log\n',
      '.sightlineignore': 'private/\n',
      'a/.gitignore': 'generated.ts\n!*.log\n',
      '.git/info/exclude': 'mine.ts\n',
    });
    const verdicts = {
      'a.ts': undefined,
      'dist/a.ts': 'git',
      'a/dist/b/c.ts': 'git',
      'x.log': 'git',
      'keep.log': undefined,
      'a/x.log': undefined,
      'only-here.ts': 'git',
      'a/only-here.ts': undefined,
      'a/generated.ts': 'git',
      'generated.ts': undefined,
      'mine.ts': 'git',
      'private/a.ts': 'sightline',
      'a/private/b.ts': 'sightline',
    };
    const rules = new IgnoreRules();
    const paths = Object.keys(verdicts).map((name) => join(folder, name));
    const [first = ''] = paths;
    assert.ok(!rules.knows(folder, first));
    await rules.load(folder, paths);
    assert.ok(rules.knows(folder, first));
    for (const [name, verdict] of Object.entries(verdicts))
      assert.equal(rules.ignores(folder, join(folder, name)), verdict, name);
    // Read again, they say what they say now.
    writeFileSync(join(folder, '.gitignore'), '');
    rmSync(join(folder, '.sightlineignore'));
    await rules.load(folder, paths);
    assert.equal(rules.ignores(folder, join(folder, 'dist/a.ts')), undefined);
    assert.equal(rules.ignores(folder, join(folder, 'private/a.ts')), undefined);
  });
});

describe('Disk', () => {
  it('reads text of the workspace, and says why not where it does not', async () => {
    const outside = folderWith({ 'secret.ts': 'x' });
    const folder = folderWith({
      'a.ts': '\uFEFFconst a = 1;\n',
      'big.ts': 'x'.repeat(longestFile + 1),
    });
    mkdirSync(join(folder, 'folder.ts'));
    symlinkSync(join(outside, 'secret.ts'), join(folder, 'link.ts'));
    const folders = [{ uri: uriOf(folder), name: 'app' }];
    const names = ['a.ts', 'big.ts', 'folder.ts', 'none.ts', 'link.ts'];
    const disk = new Disk();
    const read = async () => [
      ...(
        await disk.read(
          folders,
          names.map((name) => join(folder, name)),
        )
      ).values(),
    ];
    const [a, ...others] = await read();
    assert.deepEqual(a, { uri: uriOf(join(folder, 'a.ts')), name: 'a.ts', text: 'const a = 1;\n' });
    assert.deepEqual(others, ['size', 'missing', 'missing', 'outside']);
    // The same file is the same document; a changed one is read again.
    assert.equal((await read())[0], a);
    writeFileSync(join(folder, 'a.ts'), 'const a = 2;\n');
    utimesSync(join(folder, 'a.ts'), 1, 1);
    const [changed] = await read();
    assert.equal(typeof changed === 'object' && changed.text, 'const a = 2;\n');
  });
});

describe('areNearDuplicates', () => {
  const text = Array.from({ length: 100 }, (_, i) => `line number ${i}`);
  const lines = linesOf(text.join('\n'));

  it('finds copies with few changes, and nothing else', () => {
    assert.ok(areNearDuplicates(lines, linesOf(text.join('\r\n'))));
    assert.ok(areNearDuplicates(lines, linesOf(['other', ...text.slice(2)].join('\n'))));
    assert.ok(!areNearDuplicates(lines, linesOf(text.slice(0, 80).join('\n'))));
    assert.ok(!areNearDuplicates(lines, linesOf(text.map((line) => `${line}x`).join('\n'))));
    assert.ok(!areNearDuplicates(linesOf(''), linesOf('}\n')));
  });
});
