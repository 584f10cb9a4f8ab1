import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { z } from 'zod';

const named = z.object({ command: z.string() });
const manifest = z
  .object({
    contributes: z.object({
      commands: z.array(named.extend({ title: z.string(), category: z.literal('Sightline') })),
      keybindings: z.array(named.extend({ key: z.string(), mac: z.string(), when: z.string() })),
      menus: z.record(z.string(), z.array(z.union([named, z.object({ submenu: z.string() })]))),
      submenus: z.array(z.object({ id: z.string() })),
    }),
  })
  .parse(JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')));
const { commands, keybindings, menus, submenus } = manifest.contributes;

describe('the manifest', () => {
  const items = Object.values(menus).flat();
  const known = new Set(commands.map(({ command }) => command));

  it('names every command once', () => {
    assert.equal(known.size, commands.length);
  });

  it('has nothing in menus and on keys that is not a command', () => {
    const used = [...items.flatMap((item) => ('command' in item ? [item] : [])), ...keybindings];
    assert.ok(used.length > 10);
    for (const { command } of used) assert.ok(known.has(command), command);
  });

  it('has every submenu in a menu, and something in it', () => {
    const opened = items.flatMap((item) => ('submenu' in item ? [item.submenu] : []));
    assert.deepEqual(opened.sort(), submenus.map(({ id }) => id).sort());
    for (const id of opened) assert.ok((menus[id] ?? []).length > 0, id);
  });
});
