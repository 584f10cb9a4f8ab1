/** What nvcc makes of the CUDA kernels for every architecture: proofs that need no GPU. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { architectures, compileCubin, findNvcc, kernelSources } from '../../scripts/cuda.mjs';
import { instructionsOf } from '../fixtures/cubin.ts';

/** The most registers a thread may take, so that as many thread blocks as meant share a processor. */
const registerBounds: Readonly<Record<string, number>> = {
  append_rows: 64,
  code_blocks: 128,
  decode_64: 128,
  decode_80: 128,
  decode_96: 168,
  decode_128: 168,
  decode_256: 255,
  prefill_64: 168,
  prefill_80: 255,
  prefill_96: 255,
  prefill_128: 255,
  prefill_256: 255,
  restore_blocks: 128,
};

interface Resources {
  readonly registers: number;
  readonly stack: number;
  readonly spilled: number;
}

/** By kernel, from what ptxas -v prints. */
function resourcesIn(text: string): ReadonlyMap<string, Resources> {
  const pattern =
    /entry function '(\w+)'[^]*?(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads[^]*?Used (\d+) registers/g;
  return new Map(
    [...text.matchAll(pattern)].map(([, name = '', stack, stores, loads, registers]) => [
      name,
      {
        registers: Number(registers),
        stack: Number(stack),
        spilled: Number(stores) + Number(loads),
      },
    ]),
  );
}

const nvcc = findNvcc();
const folder = mkdtempSync(join(tmpdir(), 'sightline-cubin-'));
after(() => {
  rmSync(folder, { recursive: true });
});

for (const architecture of architectures) {
  void test(
    `the kernels for sm_${architecture} keep everything in registers and use tensor cores`,
    { skip: nvcc === undefined && 'there is no nvcc here: install the CUDA toolkit' },
    async () => {
      assert.ok(nvcc !== undefined);
      const found = new Set<string>();
      for (const source of kernelSources) {
        const output = join(folder, `${source}_${architecture}.cubin`);
        const resources = resourcesIn(await compileCubin({ nvcc, source, architecture, output }));
        for (const [name, counts] of instructionsOf(output)) {
          found.add(name);
          const used = resources.get(name);
          assert.ok(used !== undefined, `ptxas says nothing of ${name}`);
          console.log(
            `sm_${architecture} ${name}: ${used.registers} registers, ${counts.all} instructions, ` +
              `${counts.HMMA} matrix products, ${counts.LDGSTS} asynchronous copies`,
          );
          assert.equal(used.spilled + used.stack + counts.LDL + counts.STL, 0, `${name} spills`);
          assert.ok(used.registers <= (registerBounds[name] ?? 0), `${name}: ${used.registers}`);
          const reads = source === 'attend';
          assert.equal(counts.HMMA > 0, reads, `matrix products of ${name}`);
          assert.equal(
            counts.LDGSTS > 0,
            reads && architecture >= 80,
            `asynchronous copies of ${name}`,
          );
        }
      }
      assert.deepEqual([...found].sort(), Object.keys(registerBounds).sort());
    },
  );
}
