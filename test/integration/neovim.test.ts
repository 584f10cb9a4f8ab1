/** `sightline serve --lsp` in an editor that is not ours, set up as docs/editors.md says. */
import assert from 'node:assert/strict';
import { execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { bundle, cacheHome, root, source } from './support.ts';

const run = promisify(execFile);
const isThere = spawnSync('nvim', ['--version']).status === 0;
const missing = isThere ? false : 'Neovim is not installed ("nvim"): `apt-get install neovim`';

const folder = mkdtempSync(join(tmpdir(), 'sightline-'));
after(() => {
  rmSync(folder, { recursive: true, maxRetries: 5 });
});

/** The key of the page that takes a completion; the page itself is what is tested. */
const [, takeByKey] =
  /```lua\n(vim\.keymap\.set\('i', '<C-l>'[\s\S]*?)```/.exec(
    readFileSync(join(root, 'docs', 'editors.md'), 'utf8'),
  ) ?? [];

/** As the page starts it, and in versions that have no `vim.lsp.start` yet too. How the server ended goes into a file. */
const start = (ended: string): string => `
local capabilities = vim.lsp.protocol.make_client_capabilities()
capabilities.textDocument.inlineCompletion = nil
local config = {
  name = 'sightline',
  cmd = { 'sh', '-c', '"$@"; echo $? > "$0"', '${ended}', '${process.execPath}', '${bundle}', 'serve', '--lsp', '--threads', '1', '--max-new-tokens', '24' },
  capabilities = capabilities,
  -- Older and newer versions wait so long for its end.
  flags = { exit_timeout = 60000 },
  exit_timeout = 60000,
}
local id
if vim.lsp.start then
  id = vim.lsp.start(config)
else
  id = vim.lsp.start_client(config)
  vim.lsp.buf_attach_client(0, id)
end
vim.bo.omnifunc = 'v:lua.vim.lsp.omnifunc'
vim.o.completeopt = 'menuone'
function IsReady()
  local client = vim.lsp.get_client_by_id(id)
  return client and client.initialized and client.server_capabilities.completionProvider ~= nil
end
`;

interface Nvim {
  /** Types keys. */
  type(keys: string): Promise<void>;
  /** What an expression is now. */
  value(expression: string): Promise<unknown>;
  /** Waits until an expression is true. */
  until(expression: string): Promise<void>;
  readonly ended: Promise<unknown>;
}

function open(file: string, script: string): Nvim {
  const socket = join(folder, 'nvim.sock');
  const env = { ...process.env, XDG_CACHE_HOME: cacheHome, XDG_STATE_HOME: folder };
  const args = ['--headless', '--clean', '-n', '--listen', socket, '-S', script, file];
  const child = spawn('nvim', args, { cwd: root, env, stdio: 'ignore' });
  after(() => child.kill('SIGKILL'));
  const ended = once(child, 'close').then(([code]: unknown[]) => code);
  const ask = async (option: string, what: string): Promise<void> => {
    await run('nvim', ['--server', socket, option, what], { env });
  };
  const value = async (expression: string): Promise<unknown> => {
    // What it prints itself is cut where it is long.
    const copy = join(folder, 'value.json');
    await ask('--remote-expr', `writefile([json_encode(${expression})], "${copy}")`);
    return JSON.parse(readFileSync(copy, 'utf8')) as unknown;
  };
  return {
    type: (keys) => ask('--remote-send', keys),
    value,
    until: async (expression) => {
      // It may not listen yet.
      while ((await value(expression).catch(() => false)) !== true) await sleep(20);
    },
    ended,
  };
}

describe('Neovim', () => {
  it(
    'gets completions, by a key and in its own list, and ends the server with itself',
    { skip: missing },
    async () => {
      assert.ok(takeByKey !== undefined);
      const text = `${source(20)}\nexport function add20(value: number): number {\n  return \n`;
      const [file, script, ended] = ['app.ts', 'start.lua', 'ended'].map((name) =>
        join(folder, name),
      ) as [string, string, string];
      writeFileSync(file, text);
      writeFileSync(script, takeByKey + start(ended));
      const nvim = open(file, script);
      const buffer = async (): Promise<string> =>
        ((await nvim.value('getline(1, "$")')) as string[]).join('\n');
      await nvim.until('luaeval("IsReady()")');

      await nvim.type('GA<C-l>');
      await nvim.until(`luaeval("vim.fn.wordcount().bytes > ${text.length}")`);
      const completed = await buffer();
      const before = text.slice(0, -1);
      assert.equal(completed.slice(0, before.length), before);
      assert.match(completed.slice(before.length), /\S/);
      // The cursor is behind it.
      assert.deepEqual(await nvim.value('[mode(), line("."), col(".")]'), [
        'i',
        completed.split('\n').length,
        (completed.split('\n').at(-1) ?? '').length + 1,
      ]);

      await nvim.type('<Esc>Goexport function add21(val<C-x><C-o>');
      await nvim.until('luaeval("vim.fn.pumvisible() == 1")');
      const items = await nvim.value('complete_info(["items"]).items');
      const [item, ...others] = items as { word: string; menu: string }[];
      assert.ok(item !== undefined && others.length === 0, JSON.stringify(items));
      assert.ok(item.menu === 'Sightline' && item.word.startsWith('val'), JSON.stringify(item));
      assert.equal(await nvim.value('getline(".")'), `export function add21(${item.word}`);

      await nvim.type('<Esc>:qa!<CR>');
      assert.equal(await nvim.ended, 0);
      assert.equal(readFileSync(ended, 'utf8'), '0\n');
    },
  );
});
