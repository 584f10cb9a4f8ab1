/** `npm run model:key-biases`: writes the bundled model with key biases as Qwen2.5 has them, and says where. */
import { relative } from 'node:path';
import { bundledModelWithKeyBiases } from '../test/fixtures/models/generate.ts';

console.log(relative(process.cwd(), bundledModelWithKeyBiases()));
