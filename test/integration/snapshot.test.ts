import assert from 'node:assert/strict';
import { readdir, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { InlineCompletionTriggerKind } from 'vscode-languageserver/node';
import { ChatRequest } from '../../sidecar/protocol.ts';
import {
  cacheHome,
  endOf,
  settings,
  source,
  startSidecar,
  stopSidecar,
  type Sidecar,
} from './support.ts';

const workspace = 'file:///project';
const texts = new Map(
  ['one', 'two', 'three'].map((name) => [
    `${workspace}/${name}.ts`,
    source(70).replaceAll('add', name),
  ]),
);
/** Too small to be settled: what is asked for here has the other files before it, and little else. */
const asked = `${workspace}/asked.ts`;
const question = 'import { one1 } from "./one";\n\nexport const sum = one1(';

const folder = join(cacheHome, 'sightline', 'snapshots');
const files = async (ending: string): Promise<string[]> => {
  const all = await readdir(folder).catch(() => []);
  return all.filter((name) => name.endsWith(ending));
};

interface Answer {
  readonly text: string;
  readonly reused: number;
  readonly prefilled: number;
}

describe('an editor that is started again', () => {
  /** Of the files, once they are in the cache. */
  let total = 0;
  let first: Answer | undefined;
  let running: Sidecar | undefined;

  async function start(
    open: ReadonlyMap<string, string> = texts,
    folders = [workspace],
  ): Promise<Sidecar> {
    const sidecar = startSidecar();
    running = sidecar;
    await sidecar.client.initialize(
      settings,
      folders.map((uri) => ({ uri, name: 'app' })),
    );
    for (const [uri, text] of [...open, [asked, question] as const]) {
      await sidecar.client.open(uri, text);
    }
    return sidecar;
  }

  async function complete({ client }: Sidecar): Promise<Answer> {
    const { Invoked } = InlineCompletionTriggerKind;
    const [item] = await client.complete(asked, endOf(question), { triggerKind: Invoked });
    const line = client.log.findLast((message) => message.includes('tokens in sight')) ?? '';
    const [, reused, prefilled] = /(\d+) reused, (\d+) prefilled/.exec(line) ?? [];
    const text = typeof item?.insertText === 'string' ? item.insertText : '';
    return { text, reused: Number(reused), prefilled: Number(prefilled) };
  }

  /** How many tokens the cache held, from one look to the next, until these were all. */
  async function fills({ client }: Sidecar, until: number): Promise<number[]> {
    await client.until(() => (client.stats.at(-1)?.tokens ?? 0) >= until);
    return client.stats.map(({ tokens }) => tokens).filter((tokens) => tokens > 0);
  }

  const isWarm = (answer: Answer): void => {
    assert.ok(answer.reused >= total, `${answer.reused} of ${total}`);
    assert.ok(answer.reused >= 0.95 * (answer.reused + answer.prefilled));
    assert.deepEqual(answer, first);
  };

  before(async () => {
    const sidecar = await start();
    const { client } = sidecar;
    await complete(sidecar);
    const whole = (uri: string): boolean =>
      client.stats
        .at(-1)
        ?.inSight?.files.some((file) => file.uri === uri && file.tokens === file.documentTokens) ===
      true;
    await client.until(() => [...texts.keys()].every(whole));
    total = client.stats.at(-1)?.tokens ?? 0;
    assert.ok(total > 5000);
    first = await complete(sidecar);
    isWarm(first);
    assert.equal(await stopSidecar(sidecar), 0);
    assert.equal((await files('.json')).length, 1);
  });
  after(() => running?.process.kill('SIGKILL'));

  it('has its files in the cache at once, and the same completions', async () => {
    const sidecar = await start();
    assert.deepEqual(await fills(sidecar, total), [total]);
    isWarm(await complete(sidecar));
    assert.equal(await stopSidecar(sidecar), 0);
    assert.equal(sidecar.stderr(), '');
  });

  it('has them after it was killed, too', async () => {
    const elsewhere = [`${workspace}/elsewhere`];
    const killed = await start(texts, elsewhere);
    assert.ok((await fills(killed, total)).length > 1);
    while ((await files('.json')).length < 2) await sleep(20);
    killed.process.kill('SIGKILL');
    assert.equal(await killed.ended, 'SIGKILL');
    const sidecar = await start(texts, elsewhere);
    assert.deepEqual(await fills(sidecar, total), [total]);
    isWarm(await complete(sidecar));
    await stopSidecar(sidecar);
  });

  it('has them after a conversation, too', async () => {
    const elsewhere = [`${workspace}/talk`];
    const talking = await start(texts, elsewhere);
    const { connection } = talking.client;
    const messages = [{ role: 'user' as const, content: 'What does one3 return?' }];
    const params = { id: 'one', messages, attachments: [], uri: asked, maxTokens: 20 };
    assert.ok((await connection.sendRequest(ChatRequest, params)).context.promptTokens > total);
    assert.equal(await stopSidecar(talking), 0);
    const sidecar = await start(texts, elsewhere);
    assert.deepEqual(await fills(sidecar, total), [total]);
    isWarm(await complete(sidecar));
    await stopSidecar(sidecar);
  });

  it('evaluates what is behind a file that was changed while it was away', async () => {
    const changed = new Map(texts);
    const [before, file] = [...texts.keys()];
    assert.ok(before !== undefined && file !== undefined);
    changed.set(file, `// Changed.\n${texts.get(file) ?? ''}`);
    const sidecar = await start(changed);
    const [least = 0, ...more] = await fills(sidecar, total + 1);
    await complete(sidecar);
    const held = sidecar.client.stats.at(-1)?.inSight?.files.find(({ uri }) => uri === before);
    // A cut inside a quantised block goes back to the block's start.
    assert.ok(least >= (held?.tokens ?? Infinity) - 128, `${least} of ${held?.tokens ?? 0}`);
    assert.ok(more.length > 0);
    sidecar.process.kill('SIGKILL');
    await sidecar.ended;
  });

  it('does without a snapshot that is damaged', async () => {
    for (const name of await files('.session')) await truncate(join(folder, name), 1000);
    const sidecar = await start();
    const [least = Infinity] = await fills(sidecar, total);
    assert.ok(least < total / 4);
    assert.deepEqual(await complete(sidecar), first);
    assert.ok(sidecar.client.statuses.every(({ state }) => state !== 'error'));
    await stopSidecar(sidecar);
    assert.equal(sidecar.stderr(), '');
  });

  it('keeps nothing on disk where its user wants nothing there', async () => {
    const kept = (await files('.json')).length;
    const sidecar = await start();
    await fills(sidecar, total);
    await sidecar.client.configure({ ...settings, cache: { keepOnDisk: false } });
    await sidecar.client.complete(asked, endOf(question));
    assert.equal(await stopSidecar(sidecar), 0);
    assert.equal((await files('.json')).length, kept - 1);
  });
});
