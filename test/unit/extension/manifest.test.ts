import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { z } from 'zod';

const read = (name: string): string =>
  readFileSync(new URL(`../../../${name}`, import.meta.url), 'utf8');

const named = z.object({ command: z.string() });
const schemaParts = z.looseObject({
  type: z.union([z.string(), z.array(z.string())]).optional(),
  enum: z.array(z.unknown()).optional(),
  items: z.unknown().optional(),
  properties: z.record(z.string(), z.unknown()).optional(),
  additionalProperties: z.unknown().optional(),
});
const property = z.looseObject({ scope: z.string() });
const manifest = z
  .object({
    contributes: z.object({
      commands: z.array(named.extend({ title: z.string(), category: z.literal('Sightline') })),
      keybindings: z.array(
        named.extend({ key: z.string(), mac: z.string().optional(), when: z.string() }),
      ),
      menus: z.record(z.string(), z.array(z.union([named, z.object({ submenu: z.string() })]))),
      submenus: z.array(z.object({ id: z.string() })),
      configuration: z.object({
        properties: z.record(z.string(), property),
      }),
    }),
    capabilities: z.object({
      untrustedWorkspaces: z.object({ restrictedConfigurations: z.array(z.string()) }),
    }),
  })
  .parse(JSON.parse(read('package.json')));
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

  it('has all that people read of it where it can be translated', () => {
    const texts = z
      .record(z.string(), z.string().min(1))
      .parse(JSON.parse(read('package.nls.json')));
    const used = [...read('package.json').matchAll(/"%([^%"]+)%"/g)].map(([, key = '']) => key);
    assert.deepEqual([...new Set(used)].sort(), Object.keys(texts).sort());
    for (const { title } of commands) assert.match(title, /^%command\..+%$/);
    const described = read('package.json').matchAll(/"(?:markdownD|d)escription": "(.*)"/g);
    // But for what the whole is.
    const plain = [...described].filter(([, text = '']) => !text.startsWith('%'));
    assert.equal(plain.length, 1, plain.join('\n'));
  });

  it('lets completions be turned off by language', () => {
    const { properties } = manifest.contributes.configuration;
    assert.equal(properties['sightline.enable']?.scope, 'language-overridable');
  });

  it('lets no workspace that is not trusted name a file, an address or a program', () => {
    const { properties } = manifest.contributes.configuration;
    const { restrictedConfigurations } = manifest.capabilities.untrustedWorkspaces;
    // Whatever text a setting takes may name one; choices, numbers and switches do not.
    const free = Object.entries(properties).filter(([, given]) => takesText(given));
    const open = free.filter(
      ([name, { scope }]) => scope !== 'machine' && !restrictedConfigurations.includes(name),
    );
    // What is pinned is read in the folders that are open alone, as test/unit/sidecar/sources.test.ts shows.
    assert.deepEqual(
      open.map(([name]) => name),
      ['sightline.context.pinned'],
    );
    assert.ok(free.length > open.length);
    for (const name of restrictedConfigurations) assert.ok(properties[name], name);
  });

  it('has every submenu in a menu, and something in it', () => {
    const opened = items.flatMap((item) => ('submenu' in item ? [item.submenu] : []));
    assert.deepEqual(opened.sort(), submenus.map(({ id }) => id).sort());
    for (const id of opened) assert.ok((menus[id] ?? []).length > 0, id);
  });
});

/** Whether a schema lets values have text that is not one of a list, at any depth. */
function takesText(schema: unknown): boolean {
  if (typeof schema !== 'object' || schema === null) return false;
  const {
    type,
    enum: choices,
    items,
    properties = {},
    additionalProperties,
  } = schemaParts.parse(schema);
  if (choices === undefined && [type].flat().includes('string')) return true;
  return [items, additionalProperties, ...Object.values(properties)].some(takesText);
}
