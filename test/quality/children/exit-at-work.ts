/** Exits with 7 while the engine's thread computes: after the first batch of a long prefill. */
import { bundledModel } from '../../fixtures/models/generate.ts';
import { greedy, load, loadOptions, selective } from '../support/engine.ts';

const engine = await load(loadOptions(bundledModel, selective)).result;
const tokens = Int32Array.from({ length: 8000 }, (_, i) => i % 4000);
await engine.complete({ ...greedy, tokens }, () => process.exit(7)).result;
