import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { firstCodeBlock } from '../../../../extension/actions/code.ts';
import {
  commitMessageIn,
  commitPrompt,
  documentPrompt,
  explainPrompt,
  fixPrompt,
  refactorPrompt,
  testsPrompt,
  type CodeLines,
} from '../../../../extension/actions/prompts.ts';

const code: CodeLines = {
  path: 'src/list.ts',
  language: 'typescript',
  lines: ['    for (const one of all) {', '      use(`${one}`);', '    }'],
};
const sent = 'for (const one of all) {\n  use(`${one}`);\n}';

describe('prompts', () => {
  const prompts = {
    explain: explainPrompt(code),
    fix: fixPrompt(code, [{ line: 2, message: "Cannot find\n  name 'use'.", source: 'ts' }]),
    refactor: refactorPrompt(code, '  use map \n'),
    document: documentPrompt(code),
    tests: testsPrompt(code, 'test/list.test.ts', 'test/date.test.ts'),
  };

  for (const [name, messages] of Object.entries(prompts)) {
    it(`have the code in whole lines, and say where it is from: ${name}`, () => {
      assert.deepEqual(
        messages.map(({ role }) => role),
        ['system', 'user'],
      );
      const asked = messages[1]?.content ?? '';
      assert.deepEqual(firstCodeBlock(asked)?.code.join('\n'), sent);
      assert.ok(asked.includes('```typescript\n') && asked.includes('src/list.ts'));
    });
  }

  const text = (messages: readonly { content: string }[]): string => messages[1]?.content ?? '';

  it('name each problem, with its line', () => {
    assert.ok(
      text(prompts.fix).includes("- line 2 at `use(`${one}`);`: Cannot find name 'use'. (ts)"),
    );
  });

  it('have the instruction', () => {
    assert.ok(text(prompts.refactor).includes('Change it like this: use map\n'));
  });

  it('name the file of the tests and the test to go by', () => {
    assert.ok(text(prompts.tests).includes('test/list.test.ts'));
    assert.ok(text(prompts.tests).includes('test/date.test.ts'));
    assert.ok(!text(testsPrompt(code, 'a.test.ts')).includes('style of'));
  });

  it('have a diff as it is, whatever is in it', () => {
    const diff = '--- a/README.md\n+++ b/README.md\n@@ -1 +1,3 @@\n+```sh\n ```\n';
    const asked = text(commitPrompt(diff, ['Fix the list', 'Add a list']));
    assert.equal(firstCodeBlock(asked)?.code.join('\n'), diff.trimEnd());
    assert.ok(asked.includes('- Fix the list\n- Add a list'));
  });
});

describe('commitMessageIn', () => {
  for (const [answer, message] of [
    ['Add a list\n', 'Add a list'],
    ['```\nAdd a list\n\nIt was missing.\n```', 'Add a list\n\nIt was missing.'],
    ['Here it is:\n```text\nAdd a list\n```\nGood luck!', 'Add a list'],
    ['"Add a list"', 'Add a list'],
    ['`Add a list`', 'Add a list'],
    ['Commit message: Add a list', 'Add a list'],
    ['Say "no" to lists  \nand `why`', 'Say "no" to lists\nand `why`'],
    ['```\nAdd a li', 'Add a li'],
    ['', ''],
  ] as const) {
    it(`is the message alone: ${JSON.stringify(answer)}`, () => {
      assert.equal(commitMessageIn(answer), message);
    });
  }
});
