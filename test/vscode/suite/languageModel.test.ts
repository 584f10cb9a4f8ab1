import assert from 'node:assert/strict';
import * as vscode from 'vscode';
import { ready } from './sightline.ts';

describe("VS Code's own chat", () => {
  let model: vscode.LanguageModelChat;
  before(async function () {
    await ready();
    if (!('registerLanguageModelChatProvider' in vscode.lm)) {
      console.warn(`SKIPPED: ${vscode.version} takes no models from extensions`);
      this.skip();
    }
    const deadline = Date.now() + 90_000;
    let found: vscode.LanguageModelChat | undefined;
    while (found === undefined) {
      assert(Date.now() < deadline, 'waited 90 s for the model');
      [found] = await vscode.lm.selectChatModels({ vendor: 'sightline' });
    }
    model = found;
  });

  const ask = (
    text: string,
    token?: vscode.CancellationToken,
  ): Thenable<vscode.LanguageModelChatResponse> =>
    model.sendRequest(
      [vscode.LanguageModelChatMessage.User(text)],
      { modelOptions: { temperature: 0, max_tokens: 64 } },
      token,
    );

  it('has the loaded model, with what its context holds', () => {
    assert.equal(model.vendor, 'sightline');
    assert(model.name.length > 0 && model.family.length > 0);
    assert(model.maxInputTokens > 1000, String(model.maxInputTokens));
  });

  it('counts tokens as the model does', async () => {
    const [none, one, all] = await Promise.all(
      ['', 'const', 'const a = 1;\n'.repeat(50)].map((text) => model.countTokens(text)),
    );
    assert(none === 0 && one !== undefined && one > 0 && one < 5);
    assert(all !== undefined && all > 100 && all < 13 * 50);
    const message = vscode.LanguageModelChatMessage.User('const');
    assert.equal(await model.countTokens(message), one);
  });

  it('gets answers as they are written', async () => {
    const response = await ask('What does add return?');
    const pieces: string[] = [];
    for await (const piece of response.text) pieces.push(piece);
    assert(pieces.join('').length > 0);
    assert(pieces.length > 1, JSON.stringify(pieces));
  });

  it('ends an answer that is not wanted any more, and answers the next one', async () => {
    const source = new vscode.CancellationTokenSource();
    const response = await ask('Write a long program.', source.token);
    source.cancel();
    await assert.rejects(async () => {
      for await (const piece of response.text) assert(typeof piece === 'string');
    });
    let text = '';
    for await (const piece of (await ask('What does add return?')).text) text += piece;
    assert(text.length > 0);
  });

  it('has a participant that answers the first message', async () => {
    const settings = vscode.workspace.getConfiguration('chat');
    const before = settings.inspect('disableAIFeatures')?.globalValue;
    const global = vscode.ConfigurationTarget.Global;
    await settings.update('disableAIFeatures', false, global);
    try {
      const result = await vscode.commands.executeCommand('workbench.action.chat.open', {
        query: '@sightline What does add return?',
        mode: 'ask',
        modelSelector: { vendor: 'sightline' },
        blockOnResponse: true,
      });
      assert(typeof result === 'object' && result !== null, String(result));
      assert(!('errorDetails' in result), JSON.stringify(result));
    } finally {
      await settings.update('disableAIFeatures', before, global);
    }
  });
});
