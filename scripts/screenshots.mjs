/** The pictures in README, from what the browser tests show: `npm run screenshots`. */
import { copyFile, mkdir } from 'node:fs/promises';
import { at, main, node } from './lib/shell.mjs';

/** Of build/screenshots, where the tests leave them, by their names in README. */
const pictures = { completion: 'tooltip', chat: 'chat-apply', memory: 'memory-dark-modern' };

await main(async () => {
  await node([at('scripts/test.mjs'), 'e2e']);
  await mkdir(at('media/screenshots'), { recursive: true });
  for (const [name, shown] of Object.entries(pictures))
    await copyFile(at(`build/screenshots/${shown}.png`), at(`media/screenshots/${name}.png`));
});
