import assert from 'node:assert/strict';
import { join, relative } from 'node:path';
import { describe, it } from 'node:test';
import { importsOf } from '../../../sidecar/context/imports.ts';
import { folderWith } from '../support/folder.ts';

/** What `file` with `text` imports of the files that are there. */
async function imported(there: readonly string[], file: string, text: string): Promise<string[]> {
  const folder = folderWith(Object.fromEntries(there.map((name) => [name, ''])));
  const paths = await importsOf(folder, join(folder, file), text);
  return paths.map((path) => relative(folder, path));
}

describe('importsOf', () => {
  it('finds modules of TypeScript and JavaScript', async () => {
    const there = ['src/a.ts', 'src/b.tsx', 'src/deep/index.js', 'src/c.d.ts', 'up.ts', 'src/e.js'];
    const text = `
      import type { A } from './a.js';
      import { B,
        C } from "./b";
      export * from './deep';
      import './c';
      const up = require('../up.ts'), e = await import('./e.js');
      import fs from 'node:fs';
      import none from './none';
      import again from './a.js';
      import own from './main.ts';
    `;
    assert.deepEqual(await imported([...there, 'src/main.ts'], 'src/main.ts', text), [
      'src/a.ts',
      'src/b.tsx',
      'src/deep/index.js',
      'src/c.d.ts',
      'up.ts',
      'src/e.js',
    ]);
  });

  it('finds modules of Python', async () => {
    const there = [
      'src/app/a.py',
      'src/app/b/__init__.py',
      'src/lib/c.py',
      'top.py',
      'src/app/d.py',
    ];
    const text = `
from . import a, d as other
from .b import thing
from lib.c import (x,
                   y)
import top
import os, sys
from ..lib import c
`;
    assert.deepEqual(await imported(there, 'src/app/main.py', text), [
      'src/app/a.py',
      'src/app/d.py',
      'src/app/b/__init__.py',
      'src/lib/c.py',
      'top.py',
    ]);
  });

  it('finds headers of C and C++', async () => {
    const there = ['src/a.h', 'include/b.hpp', 'src/deep/c.h'];
    const text = '#include "a.h"\n#include "b.hpp"\n# include "deep/c.h"\n#include <stdio.h>\n';
    assert.deepEqual(await imported(there, 'src/main.cpp', text), there);
  });

  it('finds modules of Rust', async () => {
    const there = ['src/a.rs', 'src/b/mod.rs', 'src/lib.rs'];
    const text = 'mod a;\npub(crate) mod b;\nuse crate::a::Thing;\nuse std::io;\n';
    assert.deepEqual(await imported(there, 'src/lib.rs', text), ['src/a.rs', 'src/b/mod.rs']);
    assert.deepEqual(
      await imported(['src/a/c.rs', 'src/d.rs'], 'src/a.rs', 'mod c;\nuse crate::d;'),
      ['src/a/c.rs', 'src/d.rs'],
    );
  });

  it('finds classes of Java, and scripts of Ruby, PHP and Lua', async () => {
    assert.deepEqual(
      await imported(
        ['src/org/x/B.java'],
        'src/org/y/A.java',
        'import org.x.B;\nimport static org.x.B.of;',
      ),
      ['src/org/x/B.java'],
    );
    assert.deepEqual(await imported(['lib/b.rb'], 'lib/a.rb', "require_relative 'b'"), [
      'lib/b.rb',
    ]);
    assert.deepEqual(
      await imported(['lib/b.php'], 'lib/a.php', "require_once __DIR__ . '/b.php';"),
      ['lib/b.php'],
    );
    assert.deepEqual(await imported(['x/b.lua'], 'a.lua', 'local b = require("x.b")'), ['x/b.lua']);
  });

  it('never leaves the folder, and knows nothing of other languages', async () => {
    assert.deepEqual(await imported([], 'a.ts', "import '../../../../etc/passwd';"), []);
    assert.deepEqual(await imported(['b'], 'a.txt', "import './b';"), []);
  });

  it('is quick with a hostile text', async () => {
    const text = `${'from '.repeat(100_000)}\n${'import('.repeat(100_000)}\n${'#include "'.repeat(50_000)}`;
    for (const name of ['a.ts', 'a.py', 'a.c', 'a.rs', 'a.php', 'a.lua'])
      assert.deepEqual(await imported([], name, text), [], name);
  });
});
