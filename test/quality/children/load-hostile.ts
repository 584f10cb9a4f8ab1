/**
 * FIRST: loads the hostile files from number FIRST on, in order. Prints a line before each
 * (`start N NAME`) and after it (`end N CODE`, or `end N loaded`), so that a crash is laid at the
 * right file's door.
 */
import fs from 'node:fs';
import path from 'node:path';
import { failureOf } from '../../../sidecar/engine/failure.ts';
import { modelFile, modelsFolder } from '../../fixtures/models/generate.ts';
import { hostileFiles } from '../../fixtures/models/hostile.ts';
import { hostileBase } from '../../fixtures/models/specs.ts';
import { selective, withEngine } from '../support/engine.ts';

const first = Number(process.argv[2]);
const file = path.join(modelsFolder, `hostile-${process.pid}.gguf`);

let index = 0;
try {
  for (const hostile of hostileFiles(fs.readFileSync(modelFile(hostileBase)))) {
    if (index >= first) {
      fs.writeFileSync(file, hostile.bytes);
      fs.writeSync(1, `start ${index} ${hostile.name}\n`);
      fs.writeSync(1, `end ${index} ${await outcome()}\n`);
    }
    index++;
  }
} finally {
  fs.rmSync(file, { force: true });
}

/** What loads must also run. */
async function outcome(): Promise<string> {
  try {
    await withEngine(file, selective, async (engine) => {
      await engine.evaluate(Int32Array.of(1, 2, 3), 'last').result;
    });
    return 'loaded';
  } catch (error) {
    const { code, message } = failureOf(error);
    return message.length > 10 ? code : `${code} without a message`;
  }
}
