import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { placeForTest } from '../../../../extension/actions/testFiles.ts';

describe('placeForTest', () => {
  for (const [what, source, files, expected, like] of [
    [
      'beside what they test',
      'src/core/list.ts',
      ['src/util/date.ts', 'src/util/date.spec.ts', 'src/core/list.ts'],
      'src/core/list.spec.ts',
      'src/util/date.spec.ts',
    ],
    [
      'in a folder of every folder',
      'src/core/list.ts',
      ['src/util/date.ts', 'src/util/__tests__/date.test.ts'],
      'src/core/__tests__/list.test.ts',
      'src/util/__tests__/date.test.ts',
    ],
    [
      'in a tree of their own',
      'src/core/list.ts',
      ['src/util/date.ts', 'test/util/date.test.ts'],
      'test/core/list.test.ts',
      'test/util/date.test.ts',
    ],
    [
      'in a tree above that of the sources',
      'extension/chat/panel.ts',
      ['extension/pins.ts', 'test/unit/extension/pins.test.ts'],
      'test/unit/extension/chat/panel.test.ts',
      'test/unit/extension/pins.test.ts',
    ],
    [
      'in a tree of their own, of which the root is known',
      'lib/list.js',
      ['index.js', 'test/index.test.js'],
      'test/lib/list.test.js',
      'test/index.test.js',
    ],
    [
      'in one folder for all',
      'src/core/list.ts',
      ['src/a/date.ts', 'test/date.test.ts', 'test/other.test.ts'],
      'test/list.test.ts',
      'test/date.test.ts',
    ],
    [
      'as in another package of the repository',
      'packages/new/src/list.ts',
      ['packages/old/src/date.ts', 'packages/old/test/date.test.ts'],
      'packages/new/test/list.test.ts',
      'packages/old/test/date.test.ts',
    ],
    [
      'as for the nearest file',
      'packages/b/src/list.ts',
      [
        'packages/a/src/x.ts',
        'packages/a/src/x.test.ts',
        'packages/b/src/y.ts',
        'packages/b/test/y.spec.ts',
      ],
      'packages/b/test/list.spec.ts',
      'packages/b/test/y.spec.ts',
    ],
    [
      'near other tests, where none tells of what it is',
      'src/core/list.py',
      ['tests/test_everything.py', 'src/core/list.py'],
      'tests/test_list.py',
      'tests/test_everything.py',
    ],
    [
      'under another name than what is there',
      'a.ts',
      ['a.ts', 'a.test.ts', 'a2.test.ts'],
      'a3.test.ts',
      'a.test.ts',
    ],
    ['by the way of TypeScript', 'src/list.ts', ['src/list.ts'], 'src/list.test.ts', undefined],
    ['by the way of Python', 'src/pkg/list.py', [], 'tests/pkg/test_list.py', undefined],
    ['by the way of Go', 'pkg/list.go', ['pkg/other.py'], 'pkg/list_test.go', undefined],
    [
      'by the way of Java',
      'app/src/main/java/org/example/Lists.java',
      [],
      'app/src/test/java/org/example/ListsTest.java',
      undefined,
    ],
    ['by the way of Ruby', 'lib/list.rb', [], 'spec/list_spec.rb', undefined],
    ['by the way of Rust', 'src/list.rs', [], 'tests/list_test.rs', undefined],
    [
      'not by the tests of another language',
      'src/list.py',
      ['src/date.ts', 'src/date.test.ts'],
      'tests/test_list.py',
      undefined,
    ],
  ] as const) {
    it(`puts tests ${what}`, () => {
      const place = placeForTest(source, files);
      assert.deepEqual(place, like === undefined ? { path: expected } : { path: expected, like });
    });
  }
});
