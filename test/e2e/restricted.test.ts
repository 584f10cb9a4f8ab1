/** A workspace that is not trusted: its settings name no model, library or server, and the user's own work. */
import assert from 'node:assert/strict';
import { copyFile, mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { bundledModelPath } from '../../sidecar/engine/load.ts';
import { fullFile } from '../../scripts/sample-workspace.mjs';
import { root, screenshot } from './chromium.ts';
import { openWorkbench, type Workbench } from './workbench.ts';

describe('Restricted Mode', () => {
  const own = path.join(root, 'build/e2e/restricted-model/own-model.gguf');
  let workbench: Workbench;
  before(async () => {
    await mkdir(path.dirname(own), { recursive: true });
    await copyFile(bundledModelPath(), own);
    workbench = await openWorkbench('restricted', {
      untrusted: {
        'sightline.model.path': '/nobody/has/this.gguf',
        'sightline.server.url': 'http://127.0.0.1:9',
        'sightline.server.model': 'theirs',
        'sightline.gpu.cudaPath': '/nobody/has/cuda',
        // What names nothing counts.
        'sightline.cache.policy': 'full',
      },
      ofMachine: { 'sightline.model.path': own },
    });
  });
  after(async () => {
    await screenshot(workbench.page, 'restricted-end');
    await workbench.close();
  });

  it('completes with the model of the user, whatever the workspace names', async () => {
    const mode = workbench.page.locator('.statusbar-item', { hasText: 'Restricted Mode' });
    await mode.waitFor();
    await workbench.open(fullFile, 600);
    await workbench.ready();
    await workbench.type('\n');
    assert.ok((await workbench.ghostLines()).join('').length > 0);
    const mapped = await readFile(`/proc/${workbench.sidecarPid()}/maps`, 'utf8');
    assert.ok(mapped.includes(own), 'the model of the user is not the one in use');
    const tooltip = await workbench.tooltip();
    assert.ok(!tooltip.includes('int8'), `the policy of the workspace is not in use:\n${tooltip}`);
  });

  it('takes what the workspace names once that is trusted', async () => {
    const { page } = workbench;
    await workbench.command('Workspaces: Manage Workspace Trust');
    await page
      .locator('.workspace-trust-editor')
      .getByRole('button', { name: 'Trust', exact: true })
      .click();
    await page
      .locator('.statusbar-item', { hasText: 'Restricted Mode' })
      .waitFor({ state: 'detached' });
    await workbench.open('ajv/compile/rules.ts', 40);
    await workbench.type('\n');
    const deadline = Date.now() + 90_000;
    while (!(await workbench.tooltip()).includes('this.gguf')) {
      assert.ok(Date.now() < deadline, 'the model of the workspace is not asked for');
    }
  });
});
