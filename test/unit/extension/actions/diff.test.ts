import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { filesOf, fitting } from '../../../../extension/actions/diff.ts';

const first = `diff --git a/src/a.ts b/src/a.ts
index 1..2 100644
--- a/src/a.ts
+++ b/src/a.ts
@@ -1,3 +1,3 @@
 one
--- two
+++ 2
+diff --git is only text here
 three`;
const second = `diff --git a/b c.bin b/b c.bin
new file mode 100644
Binary files /dev/null and b/b c.bin differ`;
const third = `diff --git a/old.md b/new.md
similarity index 90%
rename from old.md
rename to new.md
@@ -1 +1,2 @@
+x
 y`;
const diff = `${first}\n${second}\n${third}\n`;

describe('a diff', () => {
  it('is cut into its files, with what each adds and removes', () => {
    assert.deepEqual(filesOf(diff), [
      { text: first, summary: 'src/a.ts: 2 lines added, 1 removed' },
      { text: second, summary: 'b c.bin: 0 lines added, 0 removed' },
      { text: third, summary: 'new.md: 1 lines added, 0 removed' },
    ]);
    assert.deepEqual(filesOf(''), []);
  });

  it('is whole where there is room', () => {
    assert.deepEqual(fitting(filesOf(diff), [5, 1, 3], 9), { diff: diff.trimEnd(), named: 0 });
  });

  it('names the files that there is no room for', () => {
    assert.deepEqual(fitting(filesOf(diff), [5, 1, 3], 8), {
      diff: `# src/a.ts: 2 lines added, 1 removed\n${second}\n${third}`,
      named: 1,
    });
    assert.equal(fitting(filesOf(diff), [5, 1, 3], 0).named, 3);
  });
});
