/** MODEL: loads, uses and closes it again and again; prints by how many bytes the process grew in the last 20 times. */
import { codeTokens } from '../../fixtures/corpus.ts';
import { evaluate, selective, withEngine } from '../support/engine.ts';
import { residentBytes } from '../support/resident.ts';

const [modelPath = ''] = process.argv.slice(2);

const resident: number[] = [];
for (let round = 0; round < 25; round++) {
  await withEngine(modelPath, selective, async (engine) => {
    await evaluate(engine, await codeTokens(engine, 500), 'last');
  });
  resident.push(residentBytes());
}
console.log(JSON.stringify({ grownBytes: (resident.at(-1) ?? 0) - (resident[4] ?? 0) }));
